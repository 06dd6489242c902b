"""Modules of PyTorch: what `from_torch` makes of them is what PyTorch computes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import halo
from halo.graph import from_torch


@pytest.mark.parametrize("name", ["torch", "onnxscript"])
def test_without_pytorch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(halo.ArgumentError, match="needs the packages torch and onnxscript") as found:
        from_torch(None)
    assert found.value.hint == "pip install halo-lang[torch]"
    assert found.value.loc is not None


@pytest.mark.slow
def test_a_module_is_what_pytorch_computes() -> None:
    torch = pytest.importorskip("torch", reason="extra: torch")
    pytest.importorskip("onnxscript", reason="extra: torch")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8)
            self.out = torch.nn.Linear(8, 5)

        def forward(self, image, scale=None):
            x = torch.relu(self.norm(self.conv(image))).mean((2, 3))
            x = self.out(x)
            return (x if scale is None else x * scale).softmax(-1), x

    model, image = Net().eval(), torch.randn(2, 3, 16, 12)
    net = from_torch(model, (image,)).compile()
    for a, b in zip(net(image=image), model(image), strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-4, atol=1e-5)
    open_axes = from_torch(model, (image, torch.ones(5)), dynamic_shapes=({0: "batch", 2: "rows"}, {}))
    assert [str(n) for n in open_axes.inputs["image"].shape] == ["batch", "3", "rows", "12"]
    net = open_axes.compile()
    for shape in ((1, 3, 16, 12), (5, 3, 9, 12)):
        image = torch.randn(*shape)
        got = net(image, torch.full((5,), 2.0))
        for a, b in zip(got, model(image, torch.full((5,), 2.0)), strict=True):
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-4, atol=1e-5)
    exported = torch.export.export(model, (image,))
    np.testing.assert_allclose(from_torch(exported).compile()(image)[1], model(image)[1].detach(), rtol=1e-4, atol=1e-5)

    class Branches(torch.nn.Module):
        def forward(self, x):
            return x + 1 if float(x.sum()) > 3 else x.tolist()[0]

    with pytest.raises(halo.ArgumentError, match="PyTorch does not export this module"):
        from_torch(Branches(), (torch.ones(3),))
    with pytest.raises(halo.ArgumentError, match=r"takes a torch\.nn\.Module, not function"):
        from_torch(lambda x: x, (image,))
