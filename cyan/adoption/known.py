"""What is known of images, names and paths: the rules as tables, so that each can be printed.

Words are looked for in the parts of a name, so that `celery_beat`, `celery-beat` and `beat` have
`beat`, and `beatrice` has not.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.replace("-", "_").split())


DATA_IMAGES = _words(
    "postgres postgresql postgis timescaledb pgvector pgautoupgrade partman supabase/postgres "
    "mysql mariadb percona mongo mongodb redis redismod redis-stack valkey keydb dragonfly "
    "memcached rabbitmq kafka zookeeper redpanda nats activemq artemis pulsar mosquitto emqx "
    "minio seaweedfs garage elasticsearch opensearch solr meilisearch typesense clickhouse "
    "influxdb questdb cassandra scylla couchdb couchbase neo4j arangodb qdrant weaviate milvus "
    "chroma etcd consul vault mssql sqledge sql cockroach cockroachdb rqlite rethinkdb "
    "localstack surrealdb eventstore beanstalkd gearmand tarantool foundationdb "
    "victoriametrics sftp ldap openldap"
)
"""Parts of an image's own name: it keeps data, and two of it on one volume would ruin that."""

AROUND_DATA = _words("meta exporter admin ui commander express backup")
"""Parts of the names of images that only work with such a one."""

DATA_WORDS = _words(
    "db database postgres postgresql pg mysql mariadb mongo mongodb redis valkey rabbitmq kafka "
    "zookeeper elasticsearch opensearch minio memcached clickhouse cassandra"
)
"""The last part of the name of a service that is built, where it keeps data."""

DATA_PATHS = (
    "/var/lib/postgresql",
    "/var/lib/mysql",
    "/var/lib/mongodb",
    "/data/db",
    "/data/postgres",
    "/var/lib/redis",
    "/var/lib/rabbitmq",
    "/var/lib/kafka",
    "/var/lib/elasticsearch",
    "/usr/share/elasticsearch/data",
    "/var/lib/clickhouse",
    "/var/lib/cassandra",
    "/bitnami",
    "/pgdata",
)
"""Where a database keeps its data inside its container."""

DATA_PORTS = frozenset({1433, 3306, 5432, 5672, 6379, 9042, 9092, 11211, 27017})
"""The ports of databases, caches and queues."""

PROXY_IMAGES = _words(
    "nginx openresty traefik caddy haproxy envoy kong apisix nginx-proxy swag nginx-proxy- "
    "manager httpd varnish pomerium anubis"
)
PROXY_PATHS = ("/etc/nginx", "/etc/caddy/Caddyfile", "/etc/traefik", "/usr/local/etc/haproxy")
PROXY_WORDS = _words("nginx proxy reverse traefik caddy haproxy envoy ingress edge")
DOOR_PORTS = frozenset({80, 443, 8443})

TOOL_IMAGES = _words(
    "watchtower portainer portainer-ce portainer-agent prometheus alertmanager grafana "
    "grafana-image-renderer loki promtail alloy tempo jaeger zipkin opentelemetry-collector "
    "opentelemetry-collector-contrib exporter mongodb_exporter cadvisor adminer pgadmin4 "
    "pgadmin pgbackups postgres-backup-s3 docker-volume-backup phpmyadmin mongo-express redis- "
    "commander redisinsight kibana logstash filebeat fluentd fluent-bit vector mailhog mailpit "
    "maildev mailcatcher smtp postfix certbot acme-companion letsencrypt-nginx-proxy-companion "
    "dozzle uptime-kuma cloudflared autoheal flower docker-gen netdata glances wireguard "
    "pihole tailscale selenium ngrok zipkin node-exporter agent diun whoami"
)
TOOL_WORDS = _words(
    "certbot letsencrypt acme portainer watchtower prometheus grafana jaeger zipkin tracing "
    "loki promtail exporter adminer pgadmin phpmyadmin mailhog mailpit mailcatcher flower "
    "backup backups kibana logstash dozzle cadvisor otel cloudflared autoheal playwright "
    "cypress sim autodiscover"
)
"""What looks after the rest, tests it, or shows it: it stays as it is."""

SCHEDULER_WORDS = _words(
    "beat cron crond crontab supercronic scheduler schedule scheduled clockwork ofelia "
    "celerybeat rqscheduler cronjob cronjobs housekeeping whenever chime"
)
"""One that starts jobs by the clock: two of it do everything twice."""

SCHEDULER_PHRASES = ("schedule:work", "schedule:run", "bench schedule")
CLOCKS = frozenset({"clock", "timer", "ticker"})

WORKER_WORDS = _words(
    "worker workers celery sidekiq consumer consumers rq rqworker rqworkers resque delayed_job "
    "dramatiq arq huey horizon queue queues subscriber processor bullmq async exportworker "
    "background job jobs runner messenger que goodjob good_job solid_queue etl"
)
WEAK_WORKER_WORDS = _words(
    "job jobs queue queues background runner async messenger que etl processor horizon"
)
"""Which say nothing of what publishes a port, or is called api."""
WORKER_PHRASES = ("messenger:consume", "queue:work", "queue:listen", "jobs:work", "rake jobs")

ONCE_WORDS = _words(
    "migrate migrator migration migrations migrateur init initdb setup seed seeder seeds "
    "bootstrap configurator provision provisioner fixer prepare createbuckets createbucket "
    "install"
)
"""One that does something once and ends."""

WEB_WORDS = _words(
    "web www frontend front ui api app backend back server site client admin landing dashboard "
    "gateway websocket ws live portal webapp rest graphql"
)
PUBLIC_WORDS = (
    "gateway",
    "web",
    "www",
    "frontend",
    "front",
    "webapp",
    "site",
    "app",
    "client",
    "ui",
)
"""Which of several is what users reach, where nothing else says so: the first that is there."""

DEBUG_PORTS = frozenset({2345, 5005, 9229, 9230, 35729})
"""Where debuggers and reloaders listen: no user comes there."""

OTHER_PORTS = {
    21: "FTP",
    22: "SSH",
    25: "SMTP",
    53: "DNS",
    110: "POP3",
    143: "IMAP",
    465: "SMTP",
    587: "SMTP",
    993: "IMAP",
    995: "POP3",
    1883: "MQTT",
    1935: "RTMP",
    5060: "SIP",
    8883: "MQTT",
    25565: "Minecraft",
    51820: "WireGuard",
}
"""Ports of what is no HTTP."""

CODE_PATHS = (
    "/app",
    "/code",
    "/src",
    "/project",
    "/workspace",
    "/usr/src",
    "/usr/local/app",
    "/var/www",
    "/opt/app",
    "/srv",
    "/home/app",
    "/home/node",
    "/pong",
)
"""Where images keep the application's code."""

CODE_FOLDERS = _words("src app lib code backend frontend server client api web www")

HARMLESS = _words(
    "upload uploads media static staticfiles mediafiles assets public log logs cache caches tmp "
    "temp images image img avatars attachments files exports export reports backups backup "
    "node_modules venv vendor keys key certs certificates ssl tls letsencrypt acme certbot "
    "models model fonts scripts templates locale huggingface pip npm dist build sites consume "
    "pids theme themes plugins htmlcov coverage storage rsa license caddy config configuration"
)
"""Words of volumes that several writers share without harm: files that are added and read."""

ALONE = _words("sqlite sqlite3 leveldb rocksdb bolt badger lmdb duckdb h2")
"""Databases in a file: one process at a time."""
