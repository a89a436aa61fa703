# docker build -t wxtokend:0.1.0 .
# Builds the program from this tree. Without Docker, or without a registry, `npm run
# package` makes an image, too: see docs/install/docker.md.
FROM node:24-bookworm-slim AS build
ARG NPM_REGISTRY=https://registry.npmjs.org
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund --registry "$NPM_REGISTRY"
COPY . .
RUN node build.mjs && rm dist/*.map

FROM node:24-bookworm-slim
# The group 33 is www-data: that of Debian's PHP images.
RUN useradd --system --uid 10001 --gid 33 --no-create-home --home-dir / --shell /usr/sbin/nologin wxtokend \
	&& install -d -m 0750 -o 10001 -g 33 /run/wxtokend \
	&& mkdir -p /usr/lib/wxtokend \
	&& ln -s ../lib/wxtokend/dist/wxtokend.cjs /usr/bin/wxtokend
COPY --from=build /src/dist /usr/lib/wxtokend/dist
USER 10001:33
VOLUME /run/wxtokend
STOPSIGNAL SIGTERM
# 75: every token lives, but a refresh fails.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD wxtokend status >/dev/null || [ $? = 75 ]
# Node.js itself, as process 1: it has handlers for HUP and TERM.
ENTRYPOINT ["node", "/usr/lib/wxtokend/dist/wxtokend.cjs"]
CMD ["run"]
