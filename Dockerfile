# syntax=docker/dockerfile:1
# docker build -t hashd . && docker run -p 6379:6379 hashd
# Options of the server go at the end: docker run -p 6379:6379 hashd --requirepass secret
# Metrics and the page, which are off: docker run -p 6379:6379 -p 127.0.0.1:9121:9121 hashd --requirepass secret \
#     --http-port 9121 --http-bind 0.0.0.0

FROM rust:1-slim-bookworm AS build
# jemalloc is built from source, with make.
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin hashd && strip target/release/hashd

FROM debian:bookworm-slim
RUN useradd --system --no-create-home --home-dir /data --shell /usr/sbin/nologin --uid 6379 hashd \
    && install -d -o hashd -g hashd /data
COPY --from=build /src/target/release/hashd /usr/local/bin/hashd
USER hashd
WORKDIR /data
VOLUME /data
EXPOSE 6379
STOPSIGNAL SIGTERM
# The image has no client: bash opens the socket itself. A server that wants a password is healthy too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6379 && printf 'PING\\r\\n' >&3 && read -r -t 2 reply <&3 && [[ $reply == +PONG* || $reply == -NOAUTH* ]]"]
# The address belongs to the entry point: options given to `docker run` replace CMD, and must not take it away.
ENTRYPOINT ["hashd", "--bind", "0.0.0.0", "--protected-mode", "no"]
CMD []
