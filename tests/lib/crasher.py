"""The sample crash with a build id that nobody has seen: no symbols that other tests have left are of use."""
import pathlib
import re
import uuid

DATA = pathlib.Path(__file__).parent.parent / "data"
BUILD = "DB12AA45E745FCFE74F77CCCA8562470"  # of crasher, as a debug id without its age


class Build:
    """crasher with a build id that nobody has seen."""

    def __init__(self, folder):
        self.guid = uuid.uuid4().hex.upper()
        old, new = (uuid.UUID(x).bytes_le for x in (BUILD, self.guid))
        raw = (DATA / "crashes/crasher.dmp").read_bytes()
        assert raw.count(old) >= 1
        self.dump = raw.replace(old, new)
        self.debug_id = self.guid + "0"
        self.folder = folder / self.guid
        text = next((DATA / f"symbols/crasher/{BUILD}0").glob("*.sym")).read_text()
        place = self.folder / "crasher" / self.debug_id
        place.mkdir(parents=True)
        self.file = place / "crasher.sym"
        self.file.write_text(re.sub(r"^INFO CODE_ID .*\n", "", text.replace(BUILD, self.guid),
                                    flags=re.M))
