"""The doctor knows faulty versions by their numbers, and looks without changing anything."""

import json

import pytest

from fettle.app.doctor import KNOWN_FAULTS, examine, fault_of, numbers_of
from fettle.cli.main import main


@pytest.mark.parametrize(
    ("package", "installed", "is_faulty"),
    [
        ("torch", "2.5.1", True),
        ("torch", "2.5.1+cu124", True),
        ("torch", "2.6.0", False),
        ("torch", "2.6", False),
        ("torch", "2.13.0+cpu", False),
        ("torch", "10.0.0", False),
        ("transformers", "4.57.6", True),
        ("transformers", "5.2.9", True),
        ("transformers", "5.3.0", False),
        ("transformers", "5.23.0", False),
        ("jinja2", "3.1.5", True),
        ("jinja2", "3.1.6", False),
        ("jinja2", "3.2", False),
        ("numpy", "1.0", False),
    ],
)
def test_faulty_versions(package, installed, is_faulty):
    fault = fault_of(package, installed)
    assert (fault is not None) == is_faulty
    assert fault is None or fault.package == package


@pytest.mark.parametrize("fault", KNOWN_FAULTS, ids=lambda fault: fault.package)
def test_a_fault_ends_where_it_was_mended(fault):
    mended = ".".join(map(str, fault.fixed_in))
    assert fault_of(fault.package, mended) is None
    assert fault_of(fault.package, f"{mended}.0") is None
    before = (*fault.fixed_in[:-1], fault.fixed_in[-1] - 1)
    assert fault_of(fault.package, ".".join(map(str, before)) + ".99") is fault
    assert "CVE" in fault.why


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2.13.0+cpu", (2, 13, 0)), ("5.3", (5, 3)), ("", ()), ("nightly", ()), ("2.13.0.post1", (2, 13, 0))],
)
def test_the_numbers_of_a_version(text, numbers):
    assert numbers_of(text) == numbers


@pytest.mark.parametrize("installed", ["2.6.0rc1", "2.6.0.dev20250101", "2.6.0a0"])
def test_a_release_candidate_is_not_the_release(installed):
    assert fault_of("torch", installed) is not None


def test_findings_say_what_to_do(tmp_path):
    findings = examine(tmp_path)
    assert {finding.subject for finding in findings} >= {"python", "sqlite", "torch", "transformers", "jinja2", "disk"}
    assert all(finding.state in ("good", "warning", "missing") for finding in findings)
    assert all(bool(finding.mend) == (finding.state != "good") for finding in findings)


def test_a_faulty_version_is_a_warning_with_the_line_that_mends_it(tmp_path, monkeypatch):
    monkeypatch.setattr("fettle.app.doctor.version", lambda package: "3.1.5" if package == "jinja2" else "99.0")
    finding = next(finding for finding in examine(tmp_path) if finding.subject == "jinja2")
    assert finding.state == "warning"
    assert finding.mend == 'pip install --upgrade "jinja2>=3.1.6"'


def test_the_doctor_makes_no_workspace(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    monkeypatch.setenv("FETTLE_HOME", str(home))
    assert main(["doctor", "--json"]) == 0
    assert {"subject", "state", "text", "mend"} == set(json.loads(capsys.readouterr().out)[0])
    assert not home.exists()


def test_a_home_several_folders_deep_is_looked_at(tmp_path):
    finding = next(finding for finding in examine(tmp_path / "a" / "b" / "c") if finding.subject == "disk")
    assert finding.state == "good", finding.text
