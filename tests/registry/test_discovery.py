from pathlib import Path

from sftframe.registry import discover


def install(site: Path, distribution: str, version: str, **entry_points: str) -> None:
    info = site / f"{distribution}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = [f"{name} = {target}" for name, target in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[sftframe]", *lines]))


def test_installed_plugins_are_found_without_importing_them(tmp_path, monkeypatch):
    install(tmp_path, "acme_styles", "2.1", loud="acme_styles.no_such_module:plugin")
    monkeypatch.syspath_prepend(str(tmp_path))
    [found] = [candidate for candidate in discover() if candidate.distribution == "acme-styles"]
    assert (found.id, found.version, found.package) == ("acme-styles:loud", "2.1", "acme_styles")


def test_a_distribution_that_lies_twice_on_the_path_is_taken_once_the_first(tmp_path, monkeypatch):
    install(tmp_path / "old", "acme_styles", "1.0", loud="acme_old")
    install(tmp_path / "new", "Acme.Styles", "2.0", loud="acme_new")
    monkeypatch.syspath_prepend(str(tmp_path / "old"))
    monkeypatch.syspath_prepend(str(tmp_path / "new"))
    found = [candidate for candidate in discover() if candidate.distribution == "acme-styles"]
    assert [candidate.version for candidate in found] == ["2.0"]


def test_plugins_come_ordered_by_id(tmp_path, monkeypatch):
    install(tmp_path, "zeta", "1.0", b="zeta.b", a="zeta.a")
    install(tmp_path, "acme", "1.0", c="acme.c")
    monkeypatch.syspath_prepend(str(tmp_path))
    ids = [candidate.id for candidate in discover()]
    assert ids == sorted(ids)
    assert ids.index("acme:c") < ids.index("zeta:a") < ids.index("zeta:b")


def test_sftframe_finds_its_own_plugins_the_same_way():
    own = [candidate.id for candidate in discover() if candidate.distribution == "sftframe"]
    names = ("collate", "gpt2", "hf", "judges", "launchers", "prompts")
    assert own == [f"sftframe:{name}" for name in names]
