"""A classifier as a service: CLASSIFIER=folder python -m uvicorn service:app. Lesson 13 writes and explains it."""

import asyncio
import io
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image, ImageOps

MOST_BYTES, MOST_PIXELS, MOST_SECONDS = 8_000_000, 25_000_000, 10
TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
folder, options, page = Path(os.environ["CLASSIFIER"]), onnxruntime.SessionOptions(), Path(__file__).parent
about = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
options.intra_op_num_threads = 1  # one core for a request: two at a time do not fight over both
network = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
app, seats, cores = FastAPI(openapi_url=None), asyncio.Semaphore(64), asyncio.Semaphore(2)  # may wait, may compute
app.get("/")(lambda: Response((page / "service_page.html").read_bytes(), media_type="text/html"))
app.get("/health")(lambda: {"status": "ok", **{name: about[name] for name in ("classes", "source", "card")}})


def refuse(wrong, status, sentence):
    if wrong:
        raise HTTPException(status, sentence, {"Connection": "close"} if status in (408, 413) else None)


@app.post("/predict")
async def predict(request: Request):
    refuse(seats.locked(), 429, "Too many requests at once: try again in a second.")
    kind, body = request.headers.get("content-type", "").partition(";")[0].strip().lower(), bytearray()
    async with seats:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                async for part in request.stream():
                    body += part if len(body) <= MOST_BYTES else b""  # what is too much is read, not kept
        except Exception:  # a TimeoutError, or Starlette's ClientDisconnect
            refuse(True, 408, f"The picture did not arrive within {MOST_SECONDS} seconds.")
        refuse(not body, 400, "The request is empty: send a picture's bytes as its body.")
        refuse(len(body) > MOST_BYTES, 413, f"A picture may have {MOST_BYTES:,} bytes at most.")
        refuse(kind not in TYPES, 415, f"The content type must be one of {', '.join(TYPES)}.")
        async with cores:
            return await asyncio.to_thread(classify, body, kind)


def classify(body, kind):
    try:
        picture = Image.open(io.BytesIO(body), formats=[TYPES[kind]])  # its header, no pixels yet
        refuse(picture.width * picture.height > MOST_PIXELS, 413, f"More than {MOST_PIXELS:,} pixels are too many.")
        refuse(kind != "image/jpeg" and picture.is_animated, 415, "This picture moves: send a single frame of it.")
        refuse(picture.mode == "CMYK", 415, "This picture is in printing inks (CMYK): save it as RGB.")
        refuse(kind == "image/png" and body[24] > 8, 415, "This picture has 16 bits a channel: save it with 8.")
        picture = ImageOps.exif_transpose(picture).convert("RGBA")
        refuse(picture.getextrema()[3][0] < 255, 415, "This picture is transparent in places: put it on a background.")
    except Exception as error:  # damaged files raise errors of many kinds
        refuse(not isinstance(error, HTTPException), 422, f"This is no {TYPES[kind]}, or damaged, or far too large.")
        raise
    picture = ImageOps.fit(picture.convert("RGB"), (about["size"], about["size"]), Image.Resampling.BILINEAR)
    images = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255  # (1, 3, H, W)
    logits, maps = network.run(["logits", "maps"], {"images": images})  # (1, K), (1, C, h, w)
    scaled = logits[0] / about["temperature"]
    shares = np.exp(scaled - np.logaddexp.reduce(scaled))  # the softmax, (K,)
    order, names = shares.argsort()[::-1][:5].tolist(), about["classes"]
    heat = np.maximum(np.tensordot(np.float32(about["head"][order[0]]), maps[0], 1), 0)  # Grad-CAM, (h, w)
    answer = names[order[0]] if shares[order[0]] > about["threshold"] else "not sure"
    top = [{"class": names[k], "confidence": float(shares[k])} for k in order]
    return {"answer": answer, "top": top, "grad_cam": (heat / max(heat.max(), 1e-9)).tolist()}
