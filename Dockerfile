# Two stages: what installs does not run. The image has the interpreter, the locked dependencies and the source.
FROM python:3.11-slim-bookworm AS dependencies

COPY requirements.lock /tmp/requirements.lock
# Without pip inside: whoever gets into the container installs nothing.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /tmp/requirements.lock


FROM python:3.11-slim-bookworm

# Shown as the label `revision` of signalling_build_info.
ARG REVISION=unknown
ENV REVISION=${REVISION} \
    PATH=/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

COPY --from=dependencies /venv /venv
WORKDIR /app
COPY service ./service
COPY observability ./observability
RUN python -m compileall -q service observability

USER 10001:10001
EXPOSE 8001 9464
# A process that is alive answers /livez within two seconds; readiness is the proxy's business.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8001')}/livez\", timeout=2)"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]
