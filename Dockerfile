# The service without a database of its own: name one by POSTGRES_URL, POSTGRES_USER, POSTGRES_DB and POSTGRES_PW
# (see config.ini.example for all settings). Serves on port 8080.

FROM python:3.13-slim AS build
RUN python -m venv /venv
COPY requirements-server.txt constraints.txt ./
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements-server.txt
WORKDIR /app
COPY swagger_server swagger_server
COPY gunicorn.conf.py ./
# the service's own account may not write here, so what Python would cache is made now
RUN python -m compileall -q swagger_server

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin app
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
# gunicorn's workers show that they live by touching a file, which should not be on a disk
ENV PATH="/venv/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    GUNICORN_CMD_ARGS="--worker-tmp-dir /dev/shm" \
    SERVER_LOG_FORMAT=json
USER app
EXPOSE 8080
# whether the process lives: starting it again would not mend a database that is down
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
CMD ["gunicorn", "swagger_server.wsgi", "-w", "4", "-b", "0.0.0.0:8080"]
