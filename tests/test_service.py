"""Lesson 13's service, running: its answers are PyTorch's, what is wrong is refused in a sentence, and it stays up."""

import asyncio
import io
import itertools
import json
import random
import re
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tests.tools.cells import code_cells, read, text
from tests.tools.kernels import ROOT
from tests.tools.serving import CLASSES, SIZE, service, write_classifier
from utils.explain import grad_cam

TEMPERATURE, THRESHOLD = 1.5, 0.25
SERVICE = ROOT / "utils" / "service.py"
MOST_LINES = 60
NUM_BODIES = 1000
MOST_GROWTH_MB = 16  # the bodies are 50 KB each: a service that keeps them, or their pixels, grows by far more


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The running service, with the same network in PyTorch as its `model`."""
    folder = tmp_path_factory.mktemp("a classifier")
    model = write_classifier(folder, TEMPERATURE, THRESHOLD)
    with service(folder) as running:
        running.model = model
        yield running
        assert "Traceback" not in running.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def client(served):
    with client_of(served) as client:
        yield client


def client_of(running):
    return httpx.Client(base_url=running.address, timeout=60, trust_env=False)


def ask(client, content, kind="image/png"):
    return client.post("/predict", content=content, headers={"Content-Type": kind} if kind else {})


def encoded(picture, kind="PNG", **settings):
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def noise(width=SIZE, height=SIZE, seed=0):
    """Return a picture of blurred noise."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def assert_refused(client, response, status, words):
    """The answer is a 4xx with a sentence, and the service is still up."""
    assert response.status_code == status, response.text
    sentence = response.json()["detail"]
    assert words in sentence
    assert re.fullmatch(r"[A-Z].* .*\.", sentence)
    assert client.get("/health").json()["status"] == "ok"


# --- answers ---------------------------------------------------------------------------------------------------------


def test_answers_are_those_of_pytorch(served, client):
    pictures = [noise(seed=seed) for seed in range(20)]
    images = torch.stack([torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures]) / 255
    with torch.no_grad():
        logits, _ = served.model(images)
    tops = (logits / TEMPERATURE).softmax(dim=1).topk(5)
    answers = []
    for picture, confidences, classes in zip(pictures, *tops):
        found = ask(client, encoded(picture)).json()
        assert [entry["class"] for entry in found["top"]] == [CLASSES[k] for k in classes]
        assert [entry["confidence"] for entry in found["top"]] == pytest.approx(confidences.tolist(), abs=1e-5)
        sure = confidences[0] > THRESHOLD
        assert found["answer"] == (CLASSES[classes[0]] if sure else "not sure")
        answers.append(found["answer"] == "not sure")
    assert 0 < sum(answers) < len(answers), "both kinds of answer are tried"


def test_grad_cam_is_that_of_lesson_09(served, client):
    picture = noise(seed=3)
    images = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    whole = nn.Sequential(served.model.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), served.model.head)
    found = ask(client, encoded(picture)).json()
    best = torch.tensor([CLASSES.index(found["top"][0]["class"])])
    expected = grad_cam(whole.eval(), images, best, "1")[0]
    heat = torch.tensor(found["grad_cam"])
    assert heat.max() == 1
    assert heat.min() >= 0
    enlarged = F.interpolate(heat[None, None], (SIZE, SIZE), mode="bilinear")[0, 0]
    assert torch.allclose(enlarged / enlarged.max(), expected / expected.max(), atol=1e-4)


def test_health_and_page(client):
    assert client.get("/health").json() == {
        "status": "ok",
        "classes": CLASSES,
        "source": "nothing: its weights are random",
        "card": "# A test",
    }
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page.text), "something from elsewhere"
    for path in ("/docs", "/redoc", "/openapi.json", "/service.py", "/..%2f..%2fetc/passwd"):
        assert client.get(path).status_code == 404
    assert client.get("/predict").status_code == 405


# What can be turned into RGB exactly is answered, as if it had come in RGB. (kind, how it is encoded, its content type)
GREY = noise(seed=5).convert("L")
EXACT = {
    "opaque alpha": (noise(seed=5), lambda: encoded(noise(seed=5).convert("RGBA")), "image/png"),
    "grey JPEG": (None, lambda: encoded(GREY, "JPEG"), "image/jpeg"),
    "grey": (GREY, lambda: encoded(GREY), "image/png"),
    "grey with opaque alpha": (GREY, lambda: encoded(GREY.convert("LA")), "image/png"),
    "256 colours": (GREY, lambda: encoded(GREY.convert("P")), "image/png"),
    "black and white": (GREY.convert("1"), lambda: encoded(GREY.convert("1")), "image/png"),
    "still GIF": (GREY, lambda: encoded(GREY, "GIF"), "image/gif"),
    "lossless WebP": (noise(seed=5), lambda: encoded(noise(seed=5), "WEBP", lossless=True), "image/webp"),
    "progressive JPEG": (None, lambda: encoded(noise(seed=5), "JPEG", progressive=True), "image/jpeg"),
    "JPEG with a preview": (
        None,
        lambda: encoded(noise(seed=5), "MPO", save_all=True, append_images=[GREY.convert("RGB")]),
        "image/jpeg",
    ),
    "type with a parameter": (noise(seed=5), lambda: encoded(noise(seed=5)), "IMAGE/PNG; charset=binary"),
    "one pixel": (noise(1, 1), lambda: encoded(noise(1, 1)), "image/png"),
    "one row": (noise(3000, 1), lambda: encoded(noise(3000, 1)), "image/png"),
    "24 megapixels": (None, lambda: encoded(Image.new("RGB", (6000, 4000), "teal"), "JPEG"), "image/jpeg"),
}


@pytest.mark.parametrize("case", EXACT)
def test_what_can_be_converted_exactly_is_answered(client, case):
    picture, make, kind = EXACT[case]
    content = make()
    picture = picture or Image.open(io.BytesIO(content))
    found = ask(client, content, kind)
    assert found.status_code == 200, found.text
    assert found.json() == ask(client, encoded(picture.convert("RGB"))).json()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_telephone_held_sideways(client, orientation):
    picture = noise(48, 40, seed=7)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # the transposition that shows the picture upright
    upright = picture if orientation == 1 else picture.transpose(Image.Transpose(turned[orientation]))
    assert ask(client, encoded(picture, exif=exif)).json() == ask(client, encoded(upright)).json()


@pytest.mark.parametrize("size", [(64, 32), (32, 64)])
def test_the_square_in_the_middle_counts(client, size):
    wide = noise(*size, seed=8)
    left, top = ((whole - SIZE) // 2 for whole in size)
    middle = wide.crop((left, top, left + SIZE, top + SIZE))
    assert ask(client, encoded(wide)).json() == ask(client, encoded(middle)).json()


# --- what is refused -------------------------------------------------------------------------------------------------


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, bits=8, colour=2, pixels=b""):
    """Return a PNG file, written by hand: its header may promise what its pixels do not keep."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def clear(kind="PNG", mode="RGBA"):
    picture = noise().convert(mode)
    picture.putalpha(Image.new("L", picture.size, 254))
    return encoded(picture, kind, **({"lossless": True} if kind == "WEBP" else {}))


def moving(kind):
    return encoded(noise(), kind, save_all=True, append_images=[noise(seed=1), noise(seed=2)])


WHITE_IS_CLEAR = {"transparency": 255}
REFUSED = {  # name: (content, content type, status, words of the sentence)
    "an empty body": (lambda: b"", "image/png", 400, "empty"),
    "an empty body of no type": (lambda: b"", None, 400, "empty"),
    "not an image": (lambda: b"Dear network, what is this?", "image/jpeg", 422, "no JPEG"),
    "zeros": (lambda: bytes(100_000), "image/png", 422, "no PNG"),
    "a truncated JPEG": (lambda: encoded(noise(200, 200), "JPEG")[:-900], "image/jpeg", 422, "damaged"),
    "a JPEG's first bytes": (lambda: encoded(noise(), "JPEG")[:20], "image/jpeg", 422, "damaged"),
    "a truncated PNG": (lambda: encoded(noise(200, 200))[:-900], "image/png", 422, "damaged"),
    "a truncated WebP": (lambda: encoded(noise(200, 200), "WEBP")[:-90], "image/webp", 422, "damaged"),
    "a PNG whose header lies": (lambda: png(4000, 4000, pixels=bytes(99)), "image/png", 422, "damaged"),
    "a 100-megapixel PNG": (lambda: encoded(Image.new("1", (10_000, 10_000))), "image/png", 413, "25,000,000 pixels"),
    "a 26-megapixel JPEG": (lambda: encoded(Image.new("L", (6500, 4000)), "JPEG"), "image/jpeg", 413, "pixels"),
    "a PNG of 4 billion × 4 billion": (lambda: png(2**32 - 1, 2**32 - 1), "image/png", 422, "too large"),
    "a 400-megapixel PNG": (lambda: png(20_000, 20_000), "image/png", 422, "too large"),
    "an animated GIF": (lambda: moving("GIF"), "image/gif", 415, "moves"),
    "an animated WebP": (lambda: moving("WEBP"), "image/webp", 415, "moves"),
    "an animated PNG": (lambda: moving("PNG"), "image/png", 415, "moves"),
    "CMYK": (lambda: encoded(noise().convert("CMYK"), "JPEG"), "image/jpeg", 415, "CMYK"),
    "16-bit grey": (lambda: encoded(Image.new("I;16", (40, 40), 30_000)), "image/png", 415, "16 bits"),
    "16-bit RGB": (lambda: png(2, 1, bits=16, pixels=bytes(13)), "image/png", 415, "16 bits"),
    "16-bit RGBA": (lambda: png(2, 1, bits=16, colour=6, pixels=bytes(17)), "image/png", 415, "16 bits"),
    "alpha": (clear, "image/png", 415, "transparent"),
    "alpha in WebP": (lambda: clear("WEBP"), "image/webp", 415, "transparent"),
    "alpha in grey": (lambda: clear(mode="L"), "image/png", 415, "transparent"),
    "a transparent colour": (
        lambda: encoded(Image.new("L", (40, 40), 255), **WHITE_IS_CLEAR),
        "image/png",
        415,
        "transparent",
    ),
    "a transparent GIF": (
        lambda: encoded(Image.new("P", (40, 40), 255), "GIF", **WHITE_IS_CLEAR),
        "image/gif",
        415,
        "transparent",
    ),
    "a wrong content type": (lambda: encoded(noise()), "text/plain", 415, "content type"),
    "no content type": (lambda: encoded(noise()), None, 415, "content type"),
    "a form": (lambda: encoded(noise()), "multipart/form-data; boundary=x", 415, "content type"),
    "a PNG that is called a JPEG": (lambda: encoded(noise()), "image/jpeg", 422, "no JPEG"),
    "a TIFF": (lambda: encoded(noise(), "TIFF"), "image/tiff", 415, "content type"),
    "a TIFF that is called a PNG": (lambda: encoded(noise(), "TIFF"), "image/png", 422, "no PNG"),
    "20 MB": (lambda: bytes(20_000_000), "image/png", 413, "8,000,000 bytes"),
    "20 MB that begin as a picture": (lambda: encoded(noise()) + bytes(20_000_000), "image/png", 413, "bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_a_sentence(client, case):
    make, kind, status, words = REFUSED[case]
    assert_refused(client, ask(client, make(), kind), status, words)


def test_an_endless_upload_is_not_held_in_memory(served, client):
    process, most = psutil.Process(served.process.pid), []

    def parts():
        for _ in range(150):
            most.append(process.memory_info().rss)
            yield bytes(1_000_000)

    assert_refused(client, ask(client, parts()), 413, "bytes")
    assert (max(most) - most[0]) / 1e6 < 40  # 8 MB are held, and grow by copying


# --- time, crowds, and clients that go -------------------------------------------------------------------------------


def connect(running):
    parts = urlsplit(running.address)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def head_of(length):
    lines = "POST /predict HTTP/1.1", "Host: localhost", "Content-Type: image/png", f"Content-Length: {length}"
    return "\r\n".join([*lines, "", ""]).encode()


def everything(connection):
    """Return all that the service sends before it closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def altered(tmp_path, code):
    """Write a module `altered` with the service's app, after `code` has changed the service; return how to start it."""
    (tmp_path / "altered.py").write_text(f"from utils import service\n\n{code}\napp = service.app\n", encoding="utf-8")
    return {"module": "altered", "home": tmp_path, "PYTHONPATH": str(ROOT)}


def test_a_slow_upload_has_a_deadline(tmp_path):
    write_classifier(tmp_path)
    with service(tmp_path, **altered(tmp_path, "service.MOST_SECONDS = 1")) as running, client_of(running) as client:
        with connect(running) as silent, connect(running) as dripping:
            silent.sendall(head_of(1000))
            dripping.sendall(head_of(1000))
            for _ in range(5):
                dripping.sendall(b"x")
                time.sleep(0.1)
            assert ask(client, encoded(noise())).status_code == 200, "the others are served meanwhile"
            for answer in (everything(silent), everything(dripping)):
                first, _, body = answer.partition("\r\n")
                assert " 408 " in first
                assert json.loads(body.rpartition("\r\n")[2])["detail"].endswith("within 1 seconds.")
        assert client.get("/health").status_code == 200


def test_two_hundred_at_once(served, client):
    content = encoded(noise())

    async def all_at_once():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=served.address, timeout=60, limits=limits, trust_env=False) as crowd:
            return await asyncio.gather(*[ask(crowd, content) for _ in range(200)])

    answers = asyncio.run(all_at_once())
    served_well = [answer for answer in answers if answer.status_code == 200]
    assert len(served_well) >= 64
    assert {answer.text for answer in served_well} == {ask(client, content).text}
    for answer in answers:
        if answer.status_code != 200:
            assert_refused(client, answer, 429, "at once")


def test_when_all_seats_are_taken_the_next_is_sent_away_at_once(served, client):
    connections = []

    def take_a_seat():
        connections.append(connect(served))
        connections[-1].sendall(head_of(1000) + b"x")

    try:
        for _ in range(64):
            take_a_seat()
        deadline = time.monotonic() + 20
        while (answer := ask(client, encoded(noise()))).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
            if len(connections) < 72:  # this question had a seat when one of them came, which was sent away for it
                take_a_seat()
        assert_refused(client, answer, 429, "at once")
    finally:
        for connection in connections:
            connection.close()
    deadline = time.monotonic() + 20
    while (answer := ask(client, encoded(noise()))).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert answer.status_code == 200, "the seats of those who went are free again"


@pytest.mark.parametrize("rudely", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("sent", ["headers", "half", "all"])
def test_a_client_that_hangs_up(served, client, sent, rudely):
    content = encoded(noise(500, 500))
    share = {"headers": 0, "half": len(content) // 2, "all": len(content)}[sent]
    for _ in range(10):
        connection = connect(served)
        connection.sendall(head_of(len(content)) + content[:share])
        if rudely:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert ask(client, content).status_code == 200
    assert "Traceback" not in served.log.read_text(encoding="utf-8", errors="replace")


def test_the_page_answers_while_pictures_are_decoded(served, client):
    """Decoding is no work for the event loop: /health is answered while large pictures are under way."""
    large = encoded(Image.new("RGB", (5000, 4900), "teal"), "JPEG")
    with ThreadPoolExecutor(2) as pool, client_of(served) as other:
        under_way = [pool.submit(ask, other, large, "image/jpeg") for _ in range(4)]
        answered = 0
        while not all(one.done() for one in under_way):
            assert client.get("/health").status_code == 200
            answered += 1
    assert [one.result().status_code for one in under_way] == [200] * 4
    assert answered > 4


# --- fuzzing ---------------------------------------------------------------------------------------------------------


def seeds():
    """Return sound files of every kind, of about 50 KB: (content, content type)."""
    grains = np.random.default_rng(0).integers(0, 256, (130, 130, 3), dtype=np.uint8)
    picture = Image.fromarray(grains)
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        (encoded(picture), "image/png"),
        (encoded(picture.convert("P"), bits=8), "image/png"),
        (encoded(picture, "JPEG", quality=97, exif=exif), "image/jpeg"),
        (encoded(picture, "JPEG", quality=97, progressive=True), "image/jpeg"),
        (encoded(picture.resize((220, 220)), "GIF"), "image/gif"),
        (encoded(picture, "WEBP", quality=98), "image/webp"),
        (encoded(picture, "WEBP", lossless=True), "image/webp"),
    ]


def mutated(content, draw):
    """Return the content with something wrong in it."""
    content = bytearray(content)
    front = draw.random() < 0.5  # half of the damage is done to headers
    place = draw.randrange(min(len(content), 120)) if front else draw.randrange(len(content))
    way = draw.randrange(7)
    if way == 0:
        content[place] ^= 1 << draw.randrange(8)
    elif way == 1:
        content[place : place + 4] = struct.pack(">I", draw.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 65536]))
    elif way == 2:
        del content[place:]
    elif way == 3:
        del content[place : place + draw.randrange(1, 200)]
    elif way == 4:
        content[place:place] = draw.randbytes(draw.randrange(1, 200))
    elif way == 5:
        content[place:place] = content[draw.randrange(len(content)) :][:500]
    else:
        for _ in range(30):
            content[draw.randrange(len(content))] = draw.randrange(256)
    return bytes(content)


def mend_png(content):
    """Return a PNG whose checksums are right again, so that the damage is read further in."""
    place, mended = 8, bytearray(content)
    while place + 12 <= len(mended):
        (length,) = struct.unpack(">I", mended[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[place + 4 : end]))
        place = end + 4
    return bytes(mended)


def bodies(seed=0):
    """Give damaged files without end, the same each time: (content, content type)."""
    draw, files = random.Random(seed), seeds()
    while True:
        content, kind = draw.choice(files)
        content = mutated(content, draw)
        if kind == "image/png" and draw.random() < 0.7:
            content = mend_png(content)
        yield content, kind if draw.random() < 0.95 else draw.choice(files)[1]


def memory_mb(running):
    return psutil.Process(running.process.pid).memory_info().rss / 1e6


def growth_mb(running, client, count, warm_up=300):
    """Return (statuses of `count` damaged files, by how many MB the service grew after the warm-up's)."""
    stream, statuses = bodies(), []
    for content, kind in itertools.islice(stream, warm_up):
        ask(client, content, kind)
    before = memory_mb(running)
    for content, kind in itertools.islice(stream, count):
        response = ask(client, content, kind)
        assert "answer" in response.json() or re.fullmatch(r"[A-Z].* .*\.", response.json()["detail"])
        statuses.append(response.status_code)
    return statuses, memory_mb(running) - before


def test_fuzzing_finds_no_error_and_no_leak(served, client, record_property):
    statuses, grown = growth_mb(served, client, NUM_BODIES)
    record_property("grown_mb", grown)
    print(f"{len(statuses)} bodies, {statuses.count(200)} answered; the service grew by {grown:.1f} MB")
    assert set(statuses) <= {200, 413, 415, 422}
    assert statuses.count(200) > NUM_BODIES / 20, "some damage goes unnoticed: the network itself is reached"
    assert statuses.count(422) > NUM_BODIES / 20
    assert grown < MOST_GROWTH_MB
    assert client.get("/health").status_code == 200


def test_a_leak_would_be_found(tmp_path):
    write_classifier(tmp_path)
    code = (
        "kept, classify = [], service.classify\n"
        "service.classify = lambda body, kind: kept.append(bytes(body)) or classify(body, kind)"
    )
    with service(tmp_path, **altered(tmp_path, code)) as running, client_of(running) as client:
        _, grown = growth_mb(running, client, NUM_BODIES // 2, warm_up=100)
    assert grown > MOST_GROWTH_MB


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_service_is_short():
    assert sum(bool(line.strip()) for line in SERVICE.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def written_parts(path):
    """Return what a notebook's %%writefile cells write: {file: content}."""
    found = {}
    for _, cell in code_cells(read(path)):
        magics, _, content = text(cell["source"]).partition("%%writefile ")
        if content and magics in ("", "%%capture\n"):
            name, _, content = content.partition("\n")
            found[name.strip().strip('"').rpartition("/")[2]] = content.strip("\n") + "\n"
    return found


def test_the_lesson_writes_the_same_bytes():
    lessons = sorted((ROOT / "notebooks").glob("13_*.ipynb")) or [ROOT / "drafts" / "13_serving.ipynb"]
    parts = [part for name, part in sorted(written_parts(lessons[0]).items()) if name.startswith("service_")]
    assert len(parts) == 3
    assert "\n\n".join(parts) == SERVICE.read_text(encoding="utf-8")
