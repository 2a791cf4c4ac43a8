# syntax=docker/dockerfile:1
# fsarctl with the versions of constraints.txt: `make image` (cpu), `make image TARGET=cuda`.
# The CUDA libraries come with PyTorch's wheels, so both targets begin with the same image.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS source
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE fsarctl.toml ./
COPY fsarctl fsarctl
COPY stages stages
COPY prompts prompts
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel . \
    && cp constraints.txt /wheel/

FROM python:${PYTHON}-slim-bookworm AS base
RUN useradd --create-home --uid 1000 fsarctl && mkdir /work && chown fsarctl /work
ENV PYTHONUNBUFFERED=1

FROM base AS cuda
RUN --mount=type=bind,from=source,source=/wheel,target=/wheel \
    pip install --no-cache-dir --constraint /wheel/constraints.txt /wheel/*.whl
USER 1000
WORKDIR /work
ENTRYPOINT ["fsarctl"]
CMD ["--help"]

FROM base AS cpu
# The CPU index that the install page of pytorch.org names; what it installs has the pinned version, without CUDA.
ARG CPU_INDEX
RUN --mount=type=bind,from=source,source=/wheel,target=/wheel \
    test -n "$CPU_INDEX" \
    && pip install --no-cache-dir --constraint /wheel/constraints.txt --index-url "$CPU_INDEX" torch torchvision \
    && pip install --no-cache-dir --constraint /wheel/constraints.txt /wheel/*.whl
USER 1000
WORKDIR /work
ENTRYPOINT ["fsarctl"]
CMD ["--help"]
