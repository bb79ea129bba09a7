# The image is made from a binary that was built before, so that it can be
# built without any registry: use "make image".
#
# The binary is static and brings its own certificate authorities and time
# zones. There is no shell and no other file.
#
# This makes the image for this machine. "make images" makes it for several
# platforms, without an engine, from the same parts: see tools/image.
FROM scratch

ARG VERSION=dev
LABEL org.opencontainers.image.title="scaler" \
      org.opencontainers.image.description="Gitea Actions runners on demand" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.url="https://scaler.io/scaler" \
      org.opencontainers.image.version="${VERSION}"

# The directories belong to the daemon, the binary does not.
COPY --chown=65532:65532 dist/rootfs/ /
COPY dist/scaler /scaler

# To reach /var/run/docker.sock the container also needs the group that owns
# the socket on the host: docker run --group-add, group_add in compose.yaml.
USER 65532:65532

# The records of the runners. They must outlive the container: without them a
# new one does not know the runners of the old one.
VOLUME ["/var/lib/scaler"]

# Leaves the runners running, see on_shutdown.
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
    CMD ["/scaler", "health", "--config", "/etc/scaler/scaler.yaml"]

ENTRYPOINT ["/scaler"]
CMD ["run", "--config", "/etc/scaler/scaler.yaml"]
