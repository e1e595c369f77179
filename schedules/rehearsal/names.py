"""Names of made people, by country, and where they say they work. Nobody can own these domains (RFC 2606)."""

from __future__ import annotations

from typing import NamedTuple


class Land(NamedTuple):
    """What people of a country are made from: names, zones with their weights, and employers.

    An employer is a name, a domain and a ROR id, empty where it has none here.
    """

    first: tuple[str, ...]
    last: tuple[str, ...]
    zones: tuple[tuple[str, float], ...]
    employers: tuple[tuple[str, str, str], ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


LANDS: dict[str, Land] = {
    "GB": Land(
        _words("Alice Amira Ben Carys Daniel Eilidh Farah George Hannah Imran Jack Kavita Liam Mo Niamh Oliver Priya"
               " Rhys Siân Tariq Ursula Zoë"),
        _words("Ashworth Begum Clegg D'Arcy Entwistle Fairclough Greenhalgh Hargreaves Iqbal Kershaw Llewellyn"
               " McAllister Nuttall O'Neill Patel Ramsbottom Singh-Walker Tattersall Whittle Yates"),
        (("Europe/London", 1.0),),
        (("Lancaster University", "lancaster.example", "04f2nsd36"),
         ("University of Lancashire", "preston-uni.example", "010jbqd54"),
         ("Edge Hill University", "edgehill.example", "028ndzd53"),
         ("Ribble Valley Robotics", "ribble-robotics.example.com", ""),
         ("Fylde Secure Systems Ltd", "fyldesecure.example.net", ""),
         ("Bowland Biotech", "bowland.example.org", ""),
         ("Heysham Nuclear Skills", "heysham.example", ""),
         ("Pendle Precision, Tooling & Castings", "pendle-precision.example.com", "")),
    ),
    "DE": Land(
        _words("Anke Björn Çiğdem Dörte Emre Friederike Günter Heike Ines Jürgen Katja Lars Mareike Nils Özlem Petra"
               " Ruth Sören Tanja Uwe"),
        _words("Bäcker Çelik Dreyer Eßer Fuß Großmann Hölzl Jäger Kraus-Weiß Lüders Möller Nüßlein Öztürk Pfäffle"
               " von_Rönne Schäfer Übelacker Weiß Yıldız zu_Löwenstein"),
        (("Europe/Berlin", 1.0),),
        (("Technical University of Munich", "muenchen.example", "02kkvpp62"),
         ("Karlsruhe Institute of Technology", "karlsruhe.example", "04t3en479"),
         ("RWTH Aachen University", "aachen.example", "04xfq0f34"),
         ("Sichere Netze GmbH & Co. KG", "sichere-netze.example.com", ""),
         ("Windkraft Küste AG", "windkraft.example.net", "")),
    ),
    "US": Land(
        _words("Aaliyah Brandon Chloe DeShawn Esperanza Frank Grace Hiroshi Isabella Jamal Kim Luis Mary-Ann Noah"
               " Olivia Pete Quinn Rachel Sanjay Tyler"),
        _words("Adams Brown Cruz De_La_Rosa Edwards Flores Goldberg Hernández Jackson Kowalski Lee McDonald Nguyen"
               " O'Connell Patterson Reyes Smith-Jones St._Clair Washington Young"),
        (("America/New_York", 0.75), ("America/Chicago", 0.25)),
        (("Boston University", "boston-uni.example", "05qwgg493"),
         ("Massachusetts Institute of Technology", "mass-tech.example", "042nb2s44"),
         ("Johns Hopkins University", "hopkins.example", "00za53h95"),
         ("University of Tennessee at Knoxville", "knoxville.example", "020f3ap87"),
         ("Prevention Data, Inc.", "prevention-data.example.com", "")),
    ),
    "MY": Land(
        _words("Aishah Badrul Chong_Wei Devi Farid Gayathri Hafiz Izzati Jia_Hui Kumar Li_Ying Mohd._Faiz Nurul_Huda"
               " Ravi Siti_Aminah Tan_Sri_Azman Vijay Wei_Ling Xin_Yi Zulkifli"),
        _words("binti_Abdullah bin_Ahmad a/l_Raman a/p_Subramaniam Chan bin_Hassan Kaur Lim Loh binti_Mohamed Ng Ong"
               " bin_Osman Pillai bin_Razak Tan Teoh Wong Yap binti_Zainal"),
        (("Asia/Kuala_Lumpur", 1.0),),
        (("University of Malaya", "um.example", "00rzspn62"),
         ("National University of Malaysia", "ukm.example", "00bw8d226"),
         ("Universiti Putra Malaysia", "upm.example", "02e91jd64"),
         ("Klang Valley Grid Sdn. Bhd.", "klang-grid.example.com", "")),
    ),
    "FR": Land(
        _words("Adèle Benoît Chloé Didier Éloïse François Gaëlle Hervé Inès Jean-Luc Karim Léa Maëlys Noël Océane"
               " Pénélope Raphaël Stéphane Thérèse Yaël"),
        _words("Aubry Béranger Châtelain d'Estaing Étienne Fontaine Guérin Hébert L'Hôte Lefèvre Mérimée Naït-Ali"
               " O'Kelly Perrault de_la_Tour Rousseau Sévigné Traoré Vallée Zöller"),
        (("Europe/Paris", 1.0),),
        (("Atelier des Réacteurs", "reacteurs.example", ""),
         ("Institut de la Mer", "institut-mer.example.org", ""),
         ("Cyber Défense & Associés", "cyberdefense.example.com", "")),
    ),
    "CA": Land(
        _words("Amélie Brody Chantal Dakota Émile Fiona Gurpreet Heather Isabelle Jordan Keira Logan Marie-Ève Nadia"
               " Owen Priyanka Rosalie Skyler Thérèse Xavier"),
        _words("Beauchamp Campbell Dhillon Fraser Gagnon Harper Johal Kwan Lavoie MacLeod Nadeau O'Brien Pelletier"
               " Roy Sinclair Tremblay Valcourt Wilson Yee Zhou"),
        (("America/Toronto", 1.0),),
        (("Discovery District Health", "discovery-health.example", ""),
         ("Prairie Grid Research", "prairie-grid.example.org", ""),
         ("Sécurité Laurentienne inc.", "laurentienne.example.com", "")),
    ),
    "DK": Land(
        _words("Åse Bjørn Cæcilie Dorthe Esben Freja Gitte Hjalmar Ida Jørgen Kåre Lærke Mette Niels Oda Pernille"
               " Rasmus Søren Thorbjørn Yrsa"),
        _words("Andersen Bækgaard Christensen Dalgård Ellegård Frøslev Grønbæk Høegh Iversen Jørgensen Kjær Lund"
               " Møller Nygård Østergaard Præstegaard Rømer Skovbjerg Thøgersen Aagaard"),
        (("Europe/Copenhagen", 1.0),),
        (("Region Hovedstaden", "region.example", ""),
         ("Vesterhav Havvind ApS", "havvind.example.com", ""),
         ("Øresund Brint A/S", "oresund-brint.example.net", "")),
    ),
}  # fmt: skip

AWKWARD = (
    ("GB", 'Robert "Bob" Nesbitt-Smythe; OBE', "bob+events@nesbitt.example"),
    (
        "GB",
        "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch Community Energy Representative",
        "pg@ynni.example",
    ),
    ("DE", "Prof. Dr.-Ing. habil. Maximiliane Freifrau von und zu Großkötz-Strauß", "m.grosskoetz@muenchen.example"),
    ("MY", "Xu Wei-Ling 徐慧玲", "xu.weiling@um.example"),
    ("US", "J. R. “Bob” Dobbs, Ph.D., P.E.", "jr.dobbs@hopkins.example"),
    ("FR", "Hélène, Marie & Cie", "helene@cyberdefense.example.com"),
    ("DK", "Åge", "aage@oresund-brint.example.net"),
    ("CA", "", "reception@prairie-grid.example.org"),
)
"""People whose names break what is careless: country, name, address. The last gave none."""
