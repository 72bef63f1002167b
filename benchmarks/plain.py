"""An endpoint that says yes to everybody, as one writes it with FastAPI."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI()


@app.get("/auth/nginx")
@app.get("/auth/envoy/{path:path}")
async def check(path: str = "") -> Response:
    del path
    return Response(status_code=200)


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
