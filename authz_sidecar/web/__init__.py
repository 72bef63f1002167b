"""What the service answers over HTTP.

FastAPI describes APIs by some dozens of pydantic's models and has a validator built for each. We
publish no description, so they are left to be built when one is first used, which is never: every
worker is more than a megabyte smaller.
https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.defer_build
"""

from pydantic import BaseModel

BaseModel.model_config["defer_build"] = True
try:
    import fastapi  # noqa: F401
finally:
    del BaseModel.model_config["defer_build"]
