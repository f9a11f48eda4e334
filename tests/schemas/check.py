#!/usr/bin/env python3
"""Checks payloads that Torg writes against the schemas that the Neuro-Foundation publishes.

    tests/schemas/check.py FOLDER FILE...

FOLDER holds the published .xsd files; they are not part of this repository. Each FILE is XML, or lines of XML if its name
ends in .lines; the tests of the concentrator write such lines to the file that TORG_STANZAS names. Every element that
belongs to a namespace of the interfaces and has no ancestor that does is checked by itself. Elements of the older
generations are checked against the same schemas under the newest names.

The schemas have defects that no document could satisfy. CORRECTIONS lists each with its reason, DEVIATIONS what Torg
writes on purpose although the schema does not know it; anything else that is not valid fails the check.
Needs xmllint.
"""

import collections
import copy
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

SCHEMAS = {
    "concentrator": "Concentrator.xsd",
    "ctr": "Control.xsd",
    "events": "EventSubscription.xsd",
    "geo": "Geo.xsd",
    "hi": "HarmonizedInterfaces.xsd",
    "p2p": "P2P.xsd",
    "sd": "SensorData.xsd",
    "swu": "SoftwareUpdates.xsd",
    "synchronization": "Synchronization.xsd",
}

NAMESPACE = re.compile(r"\{urn:(ieee|nf|nfi):iot:(%s):1\.0\}" % "|".join(SCHEMAS))
LANG = "{http://www.w3.org/XML/1998/namespace}lang"

# (schemas, what is wrong, pattern, replacement)
CORRECTIONS = [
    (
        r".*",
        "attributes by reference would need a prefix, which no example and no implementation writes",
        r"<xs:attribute ref='([^':]+)'",
        r"<xs:attribute name='\1'",
    ),
    (
        r"Concentrator",
        "the node reference of events is inherited and given again",
        r"(<xs:extension base='NodeReference'>\s*)<xs:attributeGroup ref='nodeReference'/>",
        r"\1",
    ),
    (
        r".*",
        "^ and $ are letters in patterns of XML Schema, so no text could match",
        r"""(<xs:pattern value=['"])\^(.*)\$(['"])""",
        r"\1\2\3",
    ),
    (
        r"Concentrator",
        "bools is declared as a type only, where its siblings are elements",
        r"<xs:complexType name='bools'>(.*?)</xs:complexType>",
        r"<xs:element name='bools'><xs:complexType>\1</xs:complexType></xs:element>",
    ),
    (
        r"Control",
        "set allows a single child, where every example has several",
        r"(<xs:element name='set'>.*?<xs:choice minOccurs='0')>",
        r"\1 maxOccurs='unbounded'>",
    ),
    (
        r"Control|Concentrator|EventSubscription|HarmonizedInterfaces",
        "imports name no place",
        r"<xs:import namespace='([^']+)'",
        lambda found: "<xs:import namespace='%s' schemaLocation='%s'" % (found[1], PLACES[found[1]]),
    ),
]

PLACES = {"jabber:x:data": "form.xsd", "urn:nfi:iot:sd:1.0": "SensorData.xsd"}

# Data forms have their own standard; here they only have to stand where the schemas expect them.
FORM = """<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema' targetNamespace='jabber:x:data'
  elementFormDefault='qualified'><xs:element name='x'><xs:complexType><xs:sequence>
  <xs:any processContents='skip' minOccurs='0' maxOccurs='unbounded'/></xs:sequence>
  <xs:anyAttribute processContents='skip'/></xs:complexType></xs:element></xs:schema>"""

# (element, what Torg writes on purpose, how it is taken away before the check)
DEVIATIONS = [
    (
        "xml:lang stands on requests, where deployed clients read and write it",
        lambda element: LANG in element.attrib,
        lambda element: element.attrib.pop(LANG),
    ),
    (
        "seqNr numbers the messages of a query; deployed clients drop those without it",
        lambda element: element.tag == "{urn:nfi:iot:concentrator:1.0}queryProgress" and "seqNr" in element.attrib,
        lambda element: element.attrib.pop("seqNr"),
    ),
    (
        "Parametrized is how clients of the older generations spell Parameterized",
        lambda element: element.tag == "{urn:nfi:iot:concentrator:1.0}command"
        and element.get("type") == "Parametrized",
        lambda element: element.set("type", "Parameterized"),
    ),
    (
        "paramError names its parameter in n too, as deployed clients do",
        lambda element: element.tag == "{urn:nfi:iot:ctr:1.0}paramError" and "n" in element.attrib,
        lambda element: element.attrib.pop("n"),
    ),
    (
        "pGroup names its group in name too, as the examples do",
        lambda element: element.tag == "{urn:nfi:iot:ctr:1.0}pGroup" and "name" in element.attrib,
        lambda element: element.attrib.pop("name"),
    ),
]


def types_of_attributes(text):
    """Types of the attributes that the schema declares at its top, for uses by reference."""
    return dict(re.findall(r"^\t<xs:attribute name='([^']+)' type='([^']+)'", text, re.M))


def correct(source, target):
    """Writes a schema whose documents can exist; tells what had to be changed."""
    text = source.read_text(encoding="utf-8-sig")
    top = types_of_attributes(text)
    made = []
    for schemas, reason, pattern, replacement in CORRECTIONS:
        if not re.match(schemas, source.stem):
            continue
        changed, count = re.subn(pattern, replacement, text, flags=re.S if ".*?" in pattern else 0)
        if count:
            made.append("%s: %s (%d)" % (source.name, reason, count))
            text = changed
    for name, kind in top.items():
        used = r"(<xs:attribute name='%s')( use=)" % re.escape(name)
        text = re.sub(used, r"\1 type='%s'\2" % kind, text)
    target.write_text(text)
    return made


def payloads(element):
    """The outermost elements of the interfaces; a golden file has them in groups."""
    if element.tag.endswith("}golden"):
        for group in element:
            yield from group
    elif NAMESPACE.match(element.tag):
        yield element
    else:
        for child in element:
            yield from payloads(child)


def documents(file):
    """The XML documents in a file."""
    if not file.endswith(".lines"):
        return [ET.parse(file).getroot()]
    with open(file, encoding="utf-8") as lines:
        return [ET.fromstring(line) for line in sorted(set(lines))]


def newest(element, counted):
    """A copy under the newest names, without what deviates on purpose."""
    element = copy.deepcopy(element)
    for part in element.iter():
        part.tag = NAMESPACE.sub(r"{urn:nfi:iot:\2:1.0}", part.tag)
        for reason, applies, mend in DEVIATIONS:
            if applies(part):
                mend(part)
                counted[reason] += 1
    element.tail = None
    return element


def main(folder, files):
    counted = collections.Counter()
    checked = collections.Counter()
    failures = []
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        (place / "form.xsd").write_text(FORM)
        for name in sorted(SCHEMAS.values()):
            for line in correct(folder / name, place / name):
                print("corrected", line)
        waiting = collections.defaultdict(list)
        for file in files:
            for index, element in enumerate(part for whole in documents(file) for part in payloads(whole)):
                kind = NAMESPACE.match(element.tag)[2]
                path = place / ("%s-%d-%s.xml" % (pathlib.Path(file).stem, index, element.tag.partition("}")[2]))
                ET.ElementTree(newest(element, counted)).write(path, encoding="utf-8", xml_declaration=True)
                waiting[kind].append(path)
        for kind, paths in sorted(waiting.items()):
            command = ["xmllint", "--noout", "--schema", str(place / SCHEMAS[kind]), *map(str, paths)]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            checked[kind] = len(paths)
            if told.returncode != 0:
                lines = [line.replace(str(place) + "/", "") for line in told.stderr.splitlines()]
                failures += [line for line in lines if not line.endswith(" validates")]
    for reason, count in sorted(counted.items()):
        print("deviates %s (%d)" % (reason, count))
    for kind, count in sorted(checked.items()):
        print("checked %d of %s" % (count, kind))
    for line in failures:
        print("INVALID", line)
    print("valid" if not failures else "NOT valid")
    return 1 if failures or not checked else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
