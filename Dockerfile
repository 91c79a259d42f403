# Two images from one file: `server`, the default, and `synthetic`, which can also simulate calls and probe.
# What installs does not run: an image has the interpreter, locked dependencies and the source.
FROM python:3.11-slim-bookworm AS dependencies

COPY requirements.lock /tmp/
# Without pip inside: whoever gets into the container installs nothing.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /tmp/requirements.lock


FROM dependencies AS synthetic-dependencies

COPY requirements-synthetic.lock /tmp/
RUN pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /tmp/requirements-synthetic.lock


FROM python:3.11-slim-bookworm AS runtime

# Shown as the label `revision` of signalling_build_info.
ARG REVISION=unknown
ENV REVISION=${REVISION} \
    PATH=/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app
COPY service ./service
COPY observability ./observability
COPY synthetic ./synthetic
RUN python -m compileall -q service observability synthetic

USER 10001:10001
ENTRYPOINT ["python", "-m", "service"]


FROM runtime AS synthetic

COPY --from=synthetic-dependencies /venv /venv
CMD ["simulate", "--help"]


FROM runtime AS server

COPY --from=dependencies /venv /venv
EXPOSE 8001 9464
# A process that is alive answers /livez within two seconds; readiness is the proxy's business.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8001')}/livez\", timeout=2)"]
CMD ["serve"]
