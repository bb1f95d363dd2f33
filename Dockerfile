# vidscan in a container, for a processor or for NVIDIA GPUs:
#
#   docker build -t vidscan .
#   docker build -t vidscan:cpu --build-arg VARIANT=cpu --build-arg TORCH_INDEX=URL .
#   docker run --rm --read-only --tmpfs /tmp --network none --cap-drop ALL \
#       --security-opt no-new-privileges -v "$PWD:/data:ro" vidscan scan /data
#
# TORCH_INDEX is the address of PyTorch's wheels without CUDA, from its installation page. EXTRAS adds
# vidscan's own: "ray", "remote", "serve", or several with commas between.
#
# The service, see docs/serve.md:
#
#   docker build -t vidscan:serve --target serve --build-arg EXTRAS=serve .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -p 127.0.0.1:8765:8765 \
#       -v vidscan-data:/var/lib/vidscan -v "$PWD/token:/run/secrets/vidscan-token:ro" vidscan:serve

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG VARIANT=cuda
ARG TORCH_INDEX=""
ARG EXTRAS=""
RUN python -m venv /opt/vidscan
ENV PATH=/opt/vidscan/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# PyTorch first: its layer is the largest, and seldom changes.
RUN case "$VARIANT" in \
        cuda) pip install torch torchvision ;; \
        cpu) test -n "$TORCH_INDEX" || { echo "VARIANT=cpu needs TORCH_INDEX" >&2; exit 1; } ; \
             pip install --index-url "$TORCH_INDEX" torch torchvision ;; \
        *) echo "VARIANT is cpu or cuda, not $VARIANT" >&2; exit 1 ;; \
    esac
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY weights weights
COPY vidscan vidscan
RUN pip install ".${EXTRAS:+[$EXTRAS]}"

FROM python:${PYTHON}-slim AS scan
# OpenCV (headless), FFmpeg and PyTorch bring their libraries in their wheels; the C++ runtime and zlib that
# they find in the system are in the slim image. The check below would fail without them.
COPY --from=build /opt/vidscan /opt/vidscan
ENV PATH=/opt/vidscan/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin vidscan && vidscan doctor
USER 10001:10001
# Nothing is written outside --out, --masks and /tmp: the root may be read-only.
WORKDIR /data
ENTRYPOINT ["vidscan"]
CMD ["--help"]

FROM scan AS serve
USER root
RUN python -c "import vidscan.serve.server" || { echo "the target serve needs EXTRAS=serve" >&2; exit 1; } ; \
    install -d -o 10001 -g 10001 -m 700 /var/lib/vidscan
USER 10001:10001
VOLUME /var/lib/vidscan
EXPOSE 8765
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/healthz')"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/var/lib/vidscan", "--token-file", "/run/secrets/vidscan-token"]

# What is built where no target is named.
FROM scan
