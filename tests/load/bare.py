"""What the service is measured beside: the least that FastAPI and SQLAlchemy need for an insert and a select.

`python -m tests.load.bare DATABASE_URL FILE_DESCRIPTOR` answers on a socket that is listening already.
"""

import socket
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import JSON, DateTime, Engine, String, create_engine, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The tables."""

    type_annotation_map = {dict[str, Any]: JSON().with_variant(JSONB(), "postgresql")}  # noqa: RUF012


class Item(Base):
    """A row."""

    __tablename__ = "items"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
    inputs: Mapped[dict[str, Any]]
    parameters: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]


class ItemIn(BaseModel):
    """What is sent."""

    inputs: dict[str, Any]
    parameters: dict[str, Any]


class ItemOut(ItemIn):
    """What is answered."""

    id: str
    state: str
    created_at: datetime
    result: dict[str, Any] | None


def make_app(engine: Engine) -> FastAPI:
    """The application."""
    app = FastAPI()

    def session() -> Iterator[Session]:
        with Session(engine) as opened:
            yield opened

    @app.post("/items", status_code=201, response_model=ItemOut)
    def add(item: ItemIn, db: Annotated[Session, Depends(session)]) -> Item:
        row = Item(id=uuid.uuid4().hex, state="queued", inputs=item.inputs, parameters=item.parameters)
        db.add(row)
        db.commit()
        return row

    @app.get("/items/{item_id}", response_model=ItemOut)
    def get(item_id: str, db: Annotated[Session, Depends(session)]) -> Item:
        row = db.get(Item, item_id)
        if row is None:
            raise HTTPException(404)
        return row

    return app


def fill(engine: Engine) -> None:
    """Copies the jobs that lie in the same database."""
    Base.metadata.create_all(engine)
    copied = "SELECT id, state, created_at, inputs, parameters, result FROM jobs"
    with engine.connect() as connection:
        connection.execute(text(f"INSERT INTO items (id, state, created_at, inputs, parameters, result) {copied}"))
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE items"))


def main(database_url: str, descriptor: int) -> None:
    """Answers until a signal comes."""
    config = uvicorn.Config(make_app(create_engine(database_url)), log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
