// Reads one JSON string (a calendar) a line on stdin; prints what ical.js makes of each as one JSON line.
import readline from "node:readline";
import ICAL from "ical.js";

ICAL.design.strict = true;

function property(component, name) {
  const found = component.getFirstProperty(name);
  return found ? { value: found.getFirstValue()?.toString() ?? null, params: found.jCal[1] } : null;
}

function read(text) {
  const calendar = new ICAL.Component(ICAL.parse(text));
  const own = (name) => calendar.getFirstPropertyValue(name)?.toString() ?? null;
  const events = calendar.getAllSubcomponents("vevent").map((vevent) => {
    const event = new ICAL.Event(vevent);
    return {
      uid: event.uid,
      sequence: event.sequence,
      summary: event.summary,
      description: event.description,
      location: event.location,
      starts: event.startDate.toUnixTime(),
      ends: event.endDate.toUnixTime(),
      all_day: event.startDate.isDate,
      zone: event.startDate.zone.tzid,
      dates: [event.startDate.toString(), event.endDate.toString()],
      status: vevent.getFirstPropertyValue("status"),
      attendees: vevent.getAllProperties("attendee").map((line) => ({ value: line.getFirstValue(), params: line.jCal[1] })),
      organizer: property(vevent, "organizer"),
      names: vevent.getAllProperties().map((line) => line.name),
    };
  });
  const todos = calendar.getAllSubcomponents("vtodo").map((vtodo) => {
    const value = (name) => vtodo.getFirstPropertyValue(name)?.toString() ?? null;
    return { uid: value("uid"), status: value("status"), due: value("due"), related: value("related-to") };
  });
  return {
    name: own("name"),
    calname: own("x-wr-calname"),
    method: own("method"),
    colour: own("color"),
    refresh: own("refresh-interval"),
    zones: calendar.getAllSubcomponents("vtimezone").map((zone) => zone.getFirstPropertyValue("tzid")),
    events,
    todos,
  };
}

for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let answer;
  try {
    answer = read(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
