# Two images of one project: `api`, without torch, and `worker`.
#   docker build --target api .
#   docker build --target worker --build-arg TORCH_BACKEND=cu130 .

FROM python:3.11-slim AS build
WORKDIR /project
COPY constraints.txt pyproject.toml README.md ./
RUN pip install --no-cache-dir --constraint constraints.txt uv && python -m venv --without-pip /app
ENV VIRTUAL_ENV=/app UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1

# Dependencies come before the code, so that a change of code leaves their layer as it is.
FROM build AS build-api
RUN uv pip install --constraint constraints.txt --requirement pyproject.toml
COPY . .
RUN uv pip install --no-deps .

FROM build AS build-worker
ARG TORCH_BACKEND=cpu
RUN uv pip install --constraint constraints.txt --torch-backend "$TORCH_BACKEND" --extra worker --requirement pyproject.toml
COPY . .
RUN uv pip install --no-deps .

FROM python:3.11-slim AS runtime
RUN useradd --uid 10001 --create-home stylediffusion && install --directory --owner 10001 /data
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data HF_HOME=/data/huggingface
USER 10001

FROM runtime AS api
COPY --from=build-api /app /app
EXPOSE 8000
HEALTHCHECK --start-period=10s --interval=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
CMD ["stylediffusion", "api", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS worker
COPY --from=build-worker /app /app
CMD ["stylediffusion", "worker"]
