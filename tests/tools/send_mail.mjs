// Sends a campaign with nodemailer: `node send_mail.mjs PORT COUNT` reads one JSON message on stdin, sends it to so many
// people over 20 pooled connections, each with a name and address of their own, and prints {"messages", "seconds"}.
import { text } from "node:stream/consumers";
import nodemailer from "nodemailer";

const [port, count] = process.argv.slice(2).map(Number);
const said = JSON.parse(await text(process.stdin));
const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port,
  secure: false,
  ignoreTLS: true,
  pool: true,
  maxConnections: 20,
  maxMessages: Infinity,
});

function message(number) {
  const own = (body) => body.replaceAll(said.name, `Person ${number}`).replaceAll(said.email, `p${number}@example.org`);
  return {
    from: said.from,
    to: { name: `Person ${number}`, address: `p${number}@example.org` },
    replyTo: said.reply_to,
    subject: said.subject,
    messageId: `<${number}@events.example.org>`,
    text: own(said.text),
    html: own(said.html),
    icalEvent: { method: "REQUEST", filename: "invite.ics", content: own(said.calendar) },
    list: { unsubscribe: { url: `https://events.example.org/unsubscribe/${number}`, comment: "Unsubscribe" } },
  };
}

let next = 0;
async function sendOn() {
  while (next < count) {
    await transport.sendMail(message(next++));
  }
}

const began = performance.now();
await Promise.all(Array.from({ length: 40 }, sendOn));
console.log(JSON.stringify({ messages: count, seconds: (performance.now() - began) / 1000 }));
transport.close();
