#!/bin/sh
# An authority for a trial, and certificates of it: certificates.sh BROKER_HOST NAME...   (names: collector, devices)
# Writes ca.pem, broker.pem, NAME.pem and their keys into the current folder. Needs openssl.
set -eu
umask 077
host=$1
shift

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

certify() { # file, common name, extensions
    new_key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf '%s\n' "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -sha256 \
        -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.csr" "$1.ext"
}

if [ ! -e ca.pem ]; then
    new_key ca.key
    openssl req -x509 -new -key ca.key -subj "/CN=edgeml trial authority" -days 3650 -sha256 \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.pem
fi
case $host in *[!0-9.]*) kind=DNS ;; *) kind=IP ;; esac
[ -e broker.pem ] || certify broker "$host" "subjectAltName=$kind:$host
extendedKeyUsage=serverAuth"
for name in "$@"; do
    certify "$name" "$name" "extendedKeyUsage=clientAuth"
done
