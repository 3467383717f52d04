# One image, three programs; the command chooses:
#
#   docker run -p 8000:8000 -e LORAX_PROXY_UPSTREAM=http://lorax:80 -e LORAX_PROXY_API_KEY=... lorax-openai
#   docker run -p 8080:8080 lorax-openai lorax-mock serve
#
# It installs as `make run` does: the same hashed locks, then the project itself, by the locked
# hatchling. The locks come first, so that a change of the sources costs only the last layers.

ARG PYTHON_IMAGE=python:3.13.7-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python -m venv /opt/lorax-openai
COPY requirements/build.txt requirements/run.txt requirements/
RUN /opt/lorax-openai/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --require-hashes -r requirements/build.txt -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
COPY mock mock
COPY contracts contracts
COPY command command
RUN /opt/lorax-openai/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --no-deps --no-build-isolation . \
    && /opt/lorax-openai/bin/python -m pip uninstall --quiet --yes \
    -r requirements/build.txt pip

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/lorax-openai /opt/lorax-openai
COPY container/healthy.py /opt/lorax-openai/
ENV PATH=/opt/lorax-openai/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LORAX_PROXY_HOST=0.0.0.0 \
    LORAX_MOCK_HOST=0.0.0.0
# A number, so that a cluster can see that it is not root.
USER 10001:10001
EXPOSE 8000 8080
STOPSIGNAL SIGTERM
# Whichever of the two programs runs here answers GET /health; another port is known by its variable.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "/opt/lorax-openai/healthy.py"]
CMD ["lorax-proxy", "serve"]
