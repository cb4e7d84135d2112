FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/coc2mqtt
ENV PATH=/opt/coc2mqtt/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/runtime.lock requirements/build.lock requirements/
RUN pip install --require-hashes -r requirements/runtime.lock \
 && python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY coc2mqtt coc2mqtt
RUN /opt/build/bin/python -m hatchling build -t wheel -d /tmp/wheel \
 && pip install --no-deps /tmp/wheel/*.whl \
 && pip uninstall -y pip && python -m compileall -q /opt/coc2mqtt/lib

FROM python:3.13-slim
# The root file system may be read-only: only the journal is written, in /data.
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin coc2mqtt \
 && install -d -o coc2mqtt -g coc2mqtt /data
COPY --from=build /opt/coc2mqtt /opt/coc2mqtt
ENV PATH=/opt/coc2mqtt/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    COC2MQTT_JOURNAL__PATH=/data/coc2mqtt.db
USER 10001:10001
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s CMD ["coc2mqtt", "healthcheck"]
ENTRYPOINT ["coc2mqtt"]
CMD ["run"]
