# autopack in a container, as `make image` builds it: a finished binary on Debian, with git and ssh, for a user without rights.
# docs/guides/docker.md says how to add an agent and the tools of your tests.

# The C library must be at least as new as on the machine that built the binary.
ARG DEBIAN=13-slim
FROM debian:${DEBIAN}

# More Debian packages, separated by spaces, such as the tools of your tests.
ARG PACKAGES=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# libgomp1, libstdc++6: linked. libopenblas0: loaded when the memory uses FAISS. tini: reaps what programs leave behind, and
# passes signals on. Versions are Debian's: a release of Debian gets security updates only.
# hadolint ignore=DL3008,SC2086
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates git libgomp1 libopenblas0 libstdc++6 openssh-client procps tini ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --shell /bin/bash autopack \
    && install -d -o autopack -g autopack \
      /srv/autopack /srv/autopack/repo /srv/autopack/state /srv/git

# Files that `make image` puts together.
COPY target/image/autopack target/image/autopack-worker /usr/local/bin/
COPY target/image/LICENSE target/image/THIRD-PARTY-LICENSES.txt /usr/local/share/doc/autopack/
# Fails here, and not in the night, if the binary needs a newer C library.
RUN autopack --version

# By number, so that Kubernetes sees a user without rights.
USER 1000:1000
# Slots are on the file system of the clone; a volume, because overlays of the sandbox cannot be on the container's own overlay.
ENV XDG_STATE_HOME=/srv/autopack/state
VOLUME /srv/autopack
WORKDIR /srv/autopack/repo

# SIGINT ends running phases in an orderly way and queues them again; SIGTERM does the same.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5m --timeout=60s --start-period=2m --retries=3 \
  CMD ["autopack", "health", "--no-autostart"]
ENTRYPOINT ["tini", "--"]
CMD ["autopack", "--help"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="autopack" \
      org.opencontainers.image.description="Drains a backlog of coding work unattended" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
