"""The examples against their references in NumPy and SciPy, on photographs, and under no schedule at all."""

from __future__ import annotations

import importlib
import subprocess

import numpy as np
import pytest

import halo

pytest.importorskip("skimage", reason="extra: image")
from examples import photo

GREY, COLOUR = photo.grey()[:197, :243], photo.colour()[100:229, 60:237]
RNG = np.random.default_rng(7)

# name -> (function of the module, the Func, arguments, tolerance)
CASES = {
    "blur": ("blur", "blur_y", (GREY.astype(np.uint16) * 85,), 0),
    "unsharp": ("unsharp", "sharpened", (COLOUR, 1.5), 1),
    "harris": ("corners", "harris", (GREY,), 30),
    "equalise": ("equalise", "equalised", (GREY,), 0),
    "bilateral_grid": ("smooth", "smoothed", (GREY.astype(np.float32) / 255,), 1e-5),
    "local_laplacian": ("enhance", "local_laplacian", (COLOUR, 0.7, 0.8), 1),
    "camera_pipe": ("develop", "sharpened", None, 2),
    "life": ("run", "four", ((GREY > 128).astype(np.uint8), 3), 0),
    "matmul": ("multiply", "matmul", (RNG.random((67, 45), np.float32), RNG.random((45, 83), np.float32)), 1e-4),
    "iir": ("blur_columns", "smooth", (GREY, 0.2), 1e-3),
    "summed_area": ("box_blur", "box", (GREY, 5), 0),
}


def arguments(name: str) -> tuple:
    from examples import camera_pipe

    return (camera_pipe.mosaic(COLOUR),) if name == "camera_pipe" else CASES[name][2]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


@pytest.mark.parametrize("name", CASES)
def test_example_equals_its_reference(name: str) -> None:
    module = importlib.import_module(f"examples.{name}")
    function, _, _, tolerance = CASES[name]
    args = arguments(name)
    out = getattr(module, function)(*args)
    want = module.reference(*args) if name != "matmul" else args[0].astype(np.float64) @ args[1]
    assert out.shape == want.shape
    assert difference(out, want) <= tolerance


@pytest.mark.parametrize("name", CASES)
def test_schedule_does_not_change_the_result(name: str) -> None:
    module = importlib.import_module(f"examples.{name}")
    function, func, _, _ = CASES[name]
    args = arguments(name)
    scheduled = getattr(module, function)(*args)
    f = getattr(module, func)
    schedule = f.schedule()
    f.unschedule()
    try:
        plain = getattr(module, function)(*args)
    finally:
        f.apply(schedule)
    np.testing.assert_array_equal(scheduled, plain)
    np.testing.assert_array_equal(getattr(module, function)(*args), scheduled)


def test_local_laplacian_is_short() -> None:
    source = (
        (photo.Path(photo.__file__).parent / "local_laplacian.py")
        .read_text()
        .split("# The algorithm and its schedule")[1]
    )
    assert len(source.split("# -----")[0].splitlines()) <= 60


def test_local_laplacian_without_change_is_the_identity() -> None:
    from examples import local_laplacian

    assert difference(local_laplacian.enhance(COLOUR, alpha=0.0, beta=1.0), COLOUR) <= 1
    assert difference(local_laplacian.reference(COLOUR, alpha=0.0, beta=1.0), COLOUR) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, "demo"])
def test_example_runs(name: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(photo, "OUT", tmp_path)
    importlib.import_module(f"examples.{name}").main()
    assert "ms" in capsys.readouterr().out
    assert name == "matmul" or list(tmp_path.glob("*.png"))


def test_examples_are_funcs() -> None:
    for name, (_, func, _, _) in CASES.items():
        assert isinstance(getattr(importlib.import_module(f"examples.{name}"), func), halo.Func)


def test_classify_prepares_a_photograph_as_pillow_does() -> None:
    from PIL import Image

    from examples.classify import SIZE, prepared

    for picture in (COLOUR, photo.colour("chelsea"), photo.colour("coffee")[:, :301]):
        height, width, _ = picture.shape
        side = min(height, width)
        left, top = (width - side) / 2, (height - side) / 2
        image = Image.fromarray(picture)
        want = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        got = prepared(picture)[0].transpose(1, 2, 0) * 128 + 127
        assert np.abs(got - np.asarray(want, np.float32)).max() < 1.6  # Pillow rounds twice


def test_a_line_of_text_is_prepared_as_pillow_does() -> None:
    from PIL import Image

    from examples.read import HEIGHT, length, prepared_line, rendered

    for picture in (rendered("Halide"), rendered("halo", 90), COLOUR[:20], COLOUR[:, :3]):
        height, width, _ = picture.shape
        size = length(height, width)
        want = Image.fromarray(picture).resize((size, HEIGHT), Image.Resampling.BILINEAR)
        got = (prepared_line(picture)[0].transpose(1, 2, 0)[..., ::-1] + 1) * 127.5
        assert np.abs(got - np.asarray(want, np.float32)).max() < 1.6  # Pillow rounds twice


@pytest.mark.slow
def test_lines_of_text_are_read_from_their_pixels() -> None:
    pytest.importorskip("onnx", reason="extra: onnx")
    from examples import read

    try:
        reader = read.Reader()
    except subprocess.CalledProcessError:
        pytest.skip("the weights could not be fetched")
    for text in read.LINES:
        for size in (22, 40, 75):
            found, sure = reader(read.rendered(text, size))
            assert found == text
            assert sure > 0.9


@pytest.mark.slow
def test_classify_knows_a_cat_and_an_espresso() -> None:
    pytest.importorskip("onnx", reason="extra: onnx")
    from examples import classify

    try:
        net = classify.classifier()
    except subprocess.CalledProcessError:
        pytest.skip("the weights could not be fetched")
    cat, coffee = (classify.best(net, photo.colour(name)) for name in ("chelsea", "coffee"))
    assert {k for k, _ in cat} == {281, 282, 285}  # tabby, tiger cat, Egyptian cat
    assert coffee[0][0] == 967
    assert coffee[0][1] > 0.9
