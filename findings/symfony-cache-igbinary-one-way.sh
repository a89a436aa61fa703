#!/bin/sh
# Symfony Cache 5.4.53, PHP 8.2.36: what a process with igbinary puts into a cache is a miss
# for one without it, and no error.
#
# Two programs with one version of PHP and of the library share a cache of files or a Redis.
# One would guess that they share what is in it. If the extension igbinary is loaded (Debian's
# php-redis brings it along), Symfony's default marshaller writes in its format. A program
# without the extension, say a worker in another image, cannot read that; the exception is
# caught inside, and an item that is there is "not hit". An SDK with its token in this cache
# then fetches another one, with which the token of the others dies. The other direction
# works, so whether it hurts depends on who was the first to write.
#
# Seen: `with, then without: miss; without, then with: token`. Who writes for both must
# write PHP's own format (`new DefaultMarshaller(false)`). It needs Debian 12's archive.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq php8.2-cli=8.2.36-1~deb12u1 php8.2-igbinary=3.2.13-1 libargon2-1=0~20171227-0.3+deb12u1 \
	libsodium23=1.0.18-1+deb12u1 php-symfony-cache=5.4.53+dfsg-0+deb12u1 php-symfony-cache-contracts=2.5.5-0+deb12u1 \
	php-symfony-service-contracts=2.5.5-0+deb12u1 php-symfony-var-exporter=5.4.53+dfsg-0+deb12u1 \
	php-symfony-deprecation-contracts=2.5.5-0+deb12u1 \
	php-psr-cache=1.0.1-3 php-psr-log=1.1.4-2 php-psr-container=1.1.2-1 >apt.log 2>&1
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/usr/lib" -name 'libsodium.so.23')")
export LD_LIBRARY_PATH
cat >look.php <<'END'
<?php
spl_autoload_register(function ($class) {
	$name = str_replace('\\', '/', $class);
	foreach (['', 'Symfony/Contracts/'] as $under)
		if (is_file($file = __DIR__ . "/usr/share/php/$under$name.php")) require $file;
});
[, $cache, $what] = $argv;
$item = ($pool = new Symfony\Component\Cache\Adapter\FilesystemAdapter('sdk', 7200, __DIR__ . "/$cache"))->getItem('access_token');
if ($what === 'write') $pool->save($item->set('token'));
else echo $item->isHit() ? $item->get() : 'miss';
END
without() { usr/bin/php8.2 -n look.php "$@"; }
with() { usr/bin/php8.2 -n -d extension="$(find "$folder/usr/lib/php" -name igbinary.so)" look.php "$@"; }
with one write
without two write
seen="with, then without: $(without one read); without, then with: $(with two read)"
echo "$seen"
[ "$seen" = "with, then without: miss; without, then with: token" ]
