# The page and the service, with the detector that ringtrue brings. See docs/serve.md.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/ringtrue \
 && /opt/ringtrue/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]' \
 && /opt/ringtrue/bin/python -m compileall -q /opt/ringtrue

FROM python:3.11-slim-bookworm
COPY --from=build /opt/ringtrue /opt/ringtrue
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ringtrue
USER 10001:10001
ENV PATH=/opt/ringtrue/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 RINGTRUE_CACHE=/models
EXPOSE 8700
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8700/readyz', timeout=2)"]
ENTRYPOINT ["ringtrue", "serve", "--host", "0.0.0.0"]
