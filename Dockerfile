# Two stages: wheels are made in the first, the second has neither pip's cache nor anything to build with.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
COPY migrations ./migrations
RUN python -m venv /opt/synchweb-em \
    && /opt/synchweb-em/bin/pip install --no-cache-dir . \
    && /opt/synchweb-em/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim
LABEL org.opencontainers.image.title="synchweb-em" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes pip setuptools wheel \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/synchweb-em synchweb-em
COPY --from=build /opt/synchweb-em /opt/synchweb-em
ENV PATH=/opt/synchweb-em/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/synchweb-em
EXPOSE 8000
# The service itself says how it is; there is no curl in the image.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Who may use it must be set (EM_AUTH__MODES): without access control it would refuse to listen here.
ENTRYPOINT ["synchweb-em"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
