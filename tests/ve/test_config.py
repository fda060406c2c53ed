from pathlib import Path

import pytest

from vztmpl import settings
from vztmpl.errors import VEError
from vztmpl.ve import claims, config
from vztmpl.ve.ids import allocate_ids

CONF = '# mine\nPHYSPAGES="0:65536"\nVE_ROOT="/vz/root/$VEID"\nFUTURE="kept"\nOSTEMPLATE="d"\n'


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Node:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path))
    (tmp_path / "etc/vz/conf").mkdir(parents=True)
    return settings.load()


def write(node: settings.Node, ctid: int, text: str) -> None:
    config.conf_path(node, ctid).write_text(text)


def test_a_conf_is_read_with_the_nodes_defaults_below_it(node: settings.Node) -> None:
    (node.etc / "vz.conf").write_text('CPUUNITS="77"\nPHYSPAGES="1"\n')
    node = settings.load()
    write(node, 101, CONF)
    read = config.load(node, 101)
    assert read.beancounters == {"physpages": (0, 65536)}
    assert read.cpuunits == 77
    assert read.root == node.sysroot / "vz/root/101"
    assert read.private == node.sysroot / "vz/private/101"


def test_saving_keeps_comments_and_what_it_does_not_know(node: settings.Node) -> None:
    write(node, 101, CONF)
    config.save(node, 101, {"PHYSPAGES": "0:1", "OSTEMPLATE": None, "NAME": "web"})
    text = config.conf_path(node, 101).read_text()
    assert text == '# mine\nPHYSPAGES="0:1"\nVE_ROOT="/vz/root/$VEID"\nFUTURE="kept"\nNAME="web"\n'


def test_a_conf_that_makes_no_sense_is_named(node: settings.Node) -> None:
    write(node, 101, 'PHYSPAGES="plenty"\n')
    with pytest.raises(VEError, match=r"101\.conf: 'plenty'"):
        config.load(node, 101)


@pytest.mark.parametrize(
    "line",
    [
        'CPUMASK="some"', 'CPUMASK="0-"', 'CPUMASK="1-2-3"', 'NODEMASK="0 1"',
        'IOPRIO="high"', 'IOLIMIT="5M"',
        'CPUS="-1"', 'VM_OVERCOMMIT="nan"', 'NUMPROC="1K"', 'KMEMSIZE="1:2:3"',
    ],
)  # fmt: skip
def test_a_value_that_others_wrote_is_refused_with_the_file(node: settings.Node, line: str) -> None:
    write(node, 101, f"{line}\n")
    with pytest.raises(VEError, match=r"101\.conf: ") as caught:
        config.load(node, 101)
    assert caught.value.vz_code == 85


def test_every_beancounter_is_read_from_a_conf_also_by_its_old_name(node: settings.Node) -> None:
    write(node, 101, 'DCACHE="1M:2M"\nIPTENTRIES="20:20"\nKMEMSIZE="14372700:14790164"\n')
    assert config.load(node, 101).beancounters == {
        "dcachesize": (1 << 20, 2 << 20),
        "numiptent": (20, 20),
        "kmemsize": (14372700, 14790164),
    }


def test_names_stand_for_one_ve_only(node: settings.Node) -> None:
    write(node, 101, 'NAME="web"\n')
    write(node, 102, 'NAME="web"\n')
    claims.link_name(node, config.load(node, 101))
    assert config.find(node, "web") == 101
    with pytest.raises(VEError, match="taken by container 101"):
        claims.link_name(node, config.load(node, 102))
    claims.unlink_name(node, config.load(node, 102))
    assert config.find(node, "web") == 101
    held = config.load(node, 101)
    config.forget(node, 101)
    claims.unlink_name(node, held)
    with pytest.raises(VEError, match="Bad CT ID web"):
        config.find(node, "web")
    assert (node.etc / "conf/101.conf.destroyed").exists()


@pytest.mark.parametrize("text", ["", "2147483645", "../101", "no-such", "1e3"])
def test_what_is_no_ctid_is_refused(node: settings.Node, text: str) -> None:
    with pytest.raises(VEError, match="Bad CT ID"):
        config.find(node, text)


def test_an_address_belongs_to_one_ve(node: settings.Node) -> None:
    write(node, 101, 'IP_ADDRESS="10.0.0.1 fd00::1"\n')
    write(node, 102, 'IP_ADDRESS="10.0.0.2 fd00::1"\n')
    with pytest.raises(VEError, match="fd00::1 is already used by container 101"):
        claims.check_addresses(node, config.load(node, 102))


def test_id_ranges_never_overlap(node: settings.Node) -> None:
    firsts = [allocate_ids(node, ctid) for ctid in (1, 20001, 2, 40001)]
    assert len({first // 65536 for first in firsts}) == 4
    assert allocate_ids(node, 1) == firsts[0]
