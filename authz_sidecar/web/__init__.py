"""The HTTP applications: checks, sign-in and the operators' listener.

FastAPI describes APIs with some dozens of pydantic models and builds a validator for each. The
sidecar publishes no such description, so their validators are built on first use, which never
happens: every worker is more than a megabyte smaller.
https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.defer_build
"""

from pydantic import BaseModel

BaseModel.model_config["defer_build"] = True
try:
    import fastapi  # noqa: F401
finally:
    del BaseModel.model_config["defer_build"]
