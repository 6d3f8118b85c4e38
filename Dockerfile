# The page and the service; the model comes in as a volume. See docs/serve.md.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/ringtrue \
 && /opt/ringtrue/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/ringtrue /opt/ringtrue
RUN useradd --system --uid 10001 --no-create-home ringtrue
USER 10001
ENV PATH=/opt/ringtrue/bin:$PATH PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 RINGTRUE_CACHE=/models
EXPOSE 8700
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8700/readyz', timeout=2)"]
ENTRYPOINT ["ringtrue", "serve", "--host", "0.0.0.0", "--model", "/models/model.onnx"]
