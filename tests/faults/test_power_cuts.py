"""Power cuts and a failing disk (docs/durability.md).

The disk is tests/faults/faultdisk: what was not flushed is lost, sector by sector, at random. Two
controls leave out syncs and must lose crashes, or the test proves nothing.
"""
import shutil
import time

import pytest
from faults import FULL, Checked, CheckedProcessed, FaultDisk, Load, image_mounted, scratch

KINDS = ["ext4", "xfs"] if FULL else ["ext4"]
CUTS = 3 if FULL else 1
MIB = 1024 if FULL else 256


def cut_while_loaded(kind, *options, cuts=CUTS, seconds=1, until=None, checked=Checked):
    """Cut after cut under load of 16 threads; what each image holds. Until it is enough."""
    found = []
    with scratch() as folder, FaultDisk(folder, MIB, kind) as disk:
        if FULL:
            disk.tell("delay 1")
        log = folder / "log"
        load = Load(disk.at / "store", "-t", 16, "-s", 600, "-b", 20000, "-l", log, *options)
        try:
            for i in range(cuts):
                time.sleep(seconds)
                # First what clients had been told by then, and only then the cut.
                shutil.copyfile(log, folder / "told")
                disk.tell(f"cut {folder}/cut {20261122 + i}")
                with image_mounted(folder / "cut", folder / "after"):
                    result = checked(folder / "after" / "store", folder / "told")
                print(f"\n{kind} {' '.join(options) or 'as it is'}: {result}", end="")
                found.append(result)
                if until and until(result):
                    break
        finally:
            load.kill()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_no_acknowledged_crash_is_lost(kind):
    for result in cut_while_loaded(kind):
        assert result.acknowledged > 20
        assert (result.missing, result.torn) == (0, 0), result
        # A name stands for a whole crash, acknowledged or not, and every crash that the database
        # does not know yet (nobody tells it here) is found through pending/.
        assert result.torn_names == 0, result
        assert result.without_link == 0, result


@pytest.mark.parametrize("kind", KINDS)
def test_no_document_that_a_row_names_is_lost(kind):
    """The processor names documents first and syncs them then; a row comes after that."""
    for result in cut_while_loaded(kind, "-g", "6", checked=CheckedProcessed):
        assert result.acknowledged > 20
        assert (result.missing, result.torn) == (0, 0), result


@pytest.mark.parametrize("kind", KINDS)
def test_control_of_documents_without_any_sync_loses(kind):
    found = cut_while_loaded(kind, "-g", "6", "-c", "nofsync", cuts=4, checked=CheckedProcessed,
                             until=lambda r: r.missing + r.torn)
    assert any(r.missing + r.torn for r in found)


@pytest.mark.parametrize("kind", KINDS)
def test_control_without_any_sync_loses(kind):
    found = cut_while_loaded(kind, "-c", "nofsync", cuts=4, until=lambda r: r.missing + r.torn)
    assert any(r.missing + r.torn for r in found)


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_control_without_sync_of_directories_loses(kind):
    found = cut_while_loaded(kind, "-c", "nodirsync", cuts=12, until=lambda r: r.missing)
    assert any(r.missing for r in found)


@pytest.mark.full
@pytest.mark.parametrize("error", [5, 28], ids=["EIO", "ENOSPC"])
def test_disk_that_fails_writes(error):
    """Writes of some dumps fail at the disk: none of those is acknowledged, and none is lost."""
    mark = "A-SECTOR-THAT-CANNOT-BE-WRITTEN"
    with scratch() as folder, FaultDisk(folder, 512, "ext4") as disk:
        store = disk.at / "store"
        Load(store, "-t", 4, "-n", 20, "-l", folder / "before").wait()
        disk.tell(f"fail {error} {mark}")
        done, failed, said = Load(store, "-t", 4, "-n", 30, "-m", mark, "-l",
                                  folder / "bad").wait()
        assert failed > 0
        assert done == 0, f"{done} crashes were acknowledged whose bytes the disk refused"
        if error == 5:
            assert "SAL9601" in said # sick
        disk.tell("fail 0 -")
        # The same process would go on after a probe; so does another.
        done, failed, said = Load(store, "-t", 4, "-n", 20, "-l", folder / "after").wait()
        assert (done, failed) == (80, 0), said
        disk.remount()
        for log, count in (("before", 80), ("bad", 0), ("after", 80)):
            result = Checked(store, folder / log)
            assert result.acknowledged == count
            assert (result.missing, result.torn) == (0, 0), (log, result)
        assert result.torn_names == 0, result


@pytest.mark.full
def test_store_recovers_in_the_same_process():
    """EIO for a while under load: sick, then well again; nothing acknowledged is lost."""
    mark = "A-SECTOR-THAT-CANNOT-BE-WRITTEN"
    with scratch() as folder, FaultDisk(folder, 512, "ext4") as disk:
        store = disk.at / "store"
        load = Load(store, "-t", 8, "-s", 6, "-m", mark, "-l", folder / "log")
        time.sleep(1.5)
        disk.tell(f"fail 5 {mark}")
        time.sleep(1)
        disk.tell("fail 0 -")
        done, failed, said = load.wait()
        assert "SAL9601" in said and "SAL9602" in said
        assert failed > 0 and done > 50
        disk.remount()
        result = Checked(store, folder / "log")
        print(f"\n{failed} refused; {result}", end="")
        assert result.acknowledged == done
        assert (result.missing, result.torn, result.torn_names) == (0, 0, 0), result
