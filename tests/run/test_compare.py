"""Both specs are probed at the same parameters on the same batch, where they can be."""

from xml.etree import ElementTree as ET

import jax
import pytest
from rich.console import Console

import fgspec
from compiler.equivalence.consequences import Consequence
from fgspec import api
from fgspec.comparing import as_html as diff_html
from fgspec.comparing import as_text as diff_text
from fgspec.comparing.comparison import Probing, _shared

SPEC = """
fgspec: 1
name: small
rule: lg-fg-a
data: {batch_size: 16}
architecture: {type: mlp, hidden: [6]}
training: {epochs: 2}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def test_a_probe_of_real_data(spec, capsys):
    other = fgspec.load(spec, ["gradient.perturbation.samples=2"])
    compared = fgspec.compare(spec, other, Probing(steps=2, draws=32))
    found = compared.json()
    probe = found["probe"]
    assert probe["where"] == "the same batch, at the parameters of the first after 2 updates"
    assert probe["draws"] == 32
    assert probe["a"].keys() == probe["b"].keys() == {"block0/dense"}
    first, second = probe["a"]["block0/dense"], probe["b"]["block0/dense"]
    assert first["gradient"] == pytest.approx(second["gradient"], rel=1e-5)
    assert first["variance"] > 1.3 * second["variance"]
    changed = {one["group"] for one in found["consequences"] if not one["identical"]}
    assert changed == {"update", "noise"}
    assert set(found["cost"]) >= {"flops", "perturbed"}
    page = ET.fromstring(diff_html.page(compared).split("\n", 1)[1])
    bars = [float(bar.get("width", -1)) for bar in page.iter("rect")]
    assert (len(bars), max(bars)) == (10, 260)
    heads = ["".join(head.itertext()) for head in page.iter("th")]
    assert [f"{side}: {name}" for side, name in zip("AB", compared.names, strict=True)] == [
        head for head in heads if head[:2] in ("A:", "B:")
    ][:2]
    diff_text.show(compared, Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    layers = [line.split()[:2] for line in lines if line.startswith("block0/dense ")]
    assert layers == [["block0/dense", sign] for sign in "-+"]


def test_a_mesh_changes_the_lowering_and_no_estimate(spec):
    """Its devices need not be here."""
    other = fgspec.load(spec, ["mesh.data=4"])
    found = fgspec.compare(spec, other, Probing(steps=0, draws=32))
    assert [one.group for one in found.consequences if not one.identical] == ["program"]
    assert found.probe is not None
    assert found.probe.a == found.probe.b
    assert set(found.cost or {}) == {"sent"}


def test_nothing_is_traced_where_the_fields_are_the_same(spec, monkeypatch):
    monkeypatch.setattr(api, "with_consequences", None)
    assert fgspec.compare(spec, spec).consequences == ()


def test_parameters_are_shared_where_blocks_and_classifier_fit():
    a = {"blocks": {"w": jax.numpy.ones(2)}, "classifier": {"w": jax.numpy.ones(3)}}
    b = {"blocks": {"w": jax.numpy.zeros(2)}, "classifier": {"w": jax.numpy.zeros(3)}}
    head = {"heads": {"block0": {"w": jax.numpy.zeros(4)}}}
    found = _shared(a, b | head)
    assert found is not None
    assert float(found["blocks"]["w"].sum() + found["classifier"]["w"].sum()) == 5
    assert float(found["heads"]["block0"]["w"].sum()) == 0
    assert _shared(a, b | {"classifier": {"w": jax.numpy.zeros(4)}}) is None
    assert _shared(a, b | {"blocks": {"w": jax.numpy.zeros(2), "b": jax.numpy.zeros(2)}}) is None


def test_a_block_of_which_layers_are_replaced_is_neither_removed_nor_added():
    one = Consequence(
        "forward",
        removed=("block0/full0", "block1/full0", "block2/full0"),
        added=("block0/other", "block1/other"),
        same=("block0/full1",),
    )
    said = diff_text.consequence(one).plain
    assert "removed: block0/full0, block1/full0, block2; added: block0/other, block1/other" in said
