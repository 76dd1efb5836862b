"""Field lists and tables that salvage.conf names: a new annotation needs no other program."""
import pathlib
import shutil
import signal
import subprocess

import requests
from daemon import wait_until

TOP = pathlib.Path(__file__).parent.parent.parent


def log_of(stack):
    return "\n".join(p.read_text(errors="replace") for p in (stack.dir / "logs").glob("*salvaged*"))


def hup(stack):
    """Has the daemon read its files anew; what it said."""
    before = log_of(stack)
    subprocess.run(["kill", f"-{signal.SIGHUP.value}", str(stack.pid("salvaged"))], check=True)
    assert wait_until(lambda: log_of(stack).count("SAL5043") + log_of(stack).count("SAL5044")
                 > before.count("SAL5043") + before.count("SAL5044"))
    return log_of(stack)[len(before):]


def test_new_annotation(stack):
    """A copied and edited list, then a product's own small file; a mistake changes nothing."""
    folder = stack.dir / "fields"
    shutil.copytree(TOP / "conf" / "schema", folder)
    extra, conf = stack.dir / "fields-extra.tsv", pathlib.Path(stack.conf)
    plain = conf.read_text()
    with open(folder / "processed_crash.tsv", "a") as f:
        f.write("shader_cache\tinteger\tpublic\tShaderCache\t-\t-\tbytes of compiled shaders\n")
    with open(folder / "raw_crash.tsv", "a") as f:
        f.write("ShaderCache\tstring\tpublic\t-\tcopy\t-\tbytes of compiled shaders\n")
    extra.write_text("LastLevel\tlast_level\tstring\tprotected\tplace in the game\n"
                     "GpuMode\tgpu_mode\tstring\tpublic\thow it draws\n")
    tables = stack.dir / "tables.tsv"
    tables.write_text("distribution\tdefault\tthe house\ncrash-reason\tkey \tprivate\n")
    fields = {"ProductName": "Demo", "Version": "1.0", "ShaderCache": "77", "LastLevel": "cave",
              "GpuMode": "soft", "MozCrashReason": "key 123",
              "TelemetryEnvironment": '{"partner": {"distributionId": null}}'}
    stack.error_log.expect("SAL5043")
    try:
        before = stack.wait_processed(stack.submit(fields))
        assert not {"shader_cache", "last_level", "gpu_mode"} & before.keys()
        assert before["distribution_id"] == "mozilla" and before["moz_crash_reason"] == "key 123"

        conf.write_text(plain + f"\nschema {folder}\nfields-extra {extra}\nprocess-tables {tables}\n")
        assert "SAL5044" in hup(stack)
        crash_id = stack.submit(fields)
        after = stack.wait_processed(crash_id)
        assert after["shader_cache"] == 77
        assert (after["last_level"], after["gpu_mode"]) == ("cave", "soft")
        assert after["distribution_id"] == "the house"
        assert after["moz_crash_reason"].startswith("sanitized")
        assert "Processor: left out" not in after["processor_notes"]

        # pages and API go by the same files once they are read again
        stack.apache("-k", "graceful")

        def stranger():
            r = requests.get(stack.url + "/api/ProcessedCrash/", params={"crash_id": crash_id}, timeout=30)
            return r.json() if "gpu_mode" in r.text else None
        shown = wait_until(stranger)
        assert shown["shader_cache"] == 77 and shown["gpu_mode"] == "soft"
        assert "last_level" not in shown and "moz_crash_reason_raw" not in shown

        extra.write_text("LastLevel\tlast_level\tstring\tprotected\tplace\nX\tproduct\tstring\tpublic\t-\n")
        said = hup(stack)
        assert "SAL5043" in said and "fields-extra.tsv line 2: product is there already" in said
        assert stack.wait_processed(stack.submit(fields))["last_level"] == "cave"
    finally:
        conf.write_text(plain)
        hup(stack)
        stack.apache("-k", "graceful")
