"""Turn the XML files of MedQuAD (https://github.com/abachaa/MedQuAD, CC BY 4.0) into prompt/completion JSON Lines.

    python benchmarks/convert_medquad.py FOLDER OUT.jsonl

A question without an answer is left out and counted; white space is squeezed; nothing else is changed.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(folder: Path, out: Path) -> None:
    written = empty = 0
    with out.open("w", encoding="utf-8") as stream:
        for path in sorted(folder.rglob("*.xml")):
            for pair in ElementTree.parse(path).iter("QAPair"):
                question = " ".join((pair.findtext("Question") or "").split())
                answer = " ".join((pair.findtext("Answer") or "").split())
                if not question or not answer:
                    empty += 1
                    continue
                row = {"prompt": question, "completion": answer, "source": path.parent.name}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    print(f"{written} questions written, {empty} without an answer left out")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
