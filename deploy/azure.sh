#!/usr/bin/env bash
# The web page as an Azure container app: deploy/azure.sh up | down | address [--dry-run]
# --dry-run prints each command and runs none. "down" undoes everything: it deletes the resource group.
set -euo pipefail

GROUP=${GROUP:-emolab-demo}
LOCATION=${LOCATION:-westeurope}
REGISTRY=${REGISTRY:-emolabdemo$(printf %s "$GROUP$LOCATION" | cksum | cut -d' ' -f1)} # unique in Azure
ENVIRONMENT=${ENVIRONMENT:-emolab}
APP=${APP:-emolab-demo}
IMAGE=${IMAGE:-emolab-demo:0.2.0}
INGRESS=${INGRESS:-internal} # external opens it to the world: add authentication first
WORKERS=${WORKERS:-1}
CPU=${CPU:-2}
MEMORY=${MEMORY:-4Gi}

usage() {
  sed -n '2,3s/^# //p' "$0" >&2
  exit 2
}

what='' dry=''
for word in "$@"; do
  case $word in
    up | down | address) what=$word ;;
    --dry-run) dry=yes ;;
    *) usage ;;
  esac
done
[ -n "$what" ] || usage
if [ -z "$dry" ] && ! command -v az >/dev/null; then
  echo "the Azure CLI, az, is not installed; expected it and a login (az login). --dry-run needs neither" >&2
  exit 1
fi

run() {
  printf '%q ' "$@"
  echo
  [ -n "$dry" ] || "$@"
}

up() {
  cd "$(dirname "$0")/.."
  run az group create --name "$GROUP" --location "$LOCATION"
  run az acr create --resource-group "$GROUP" --name "$REGISTRY" --sku Basic
  run az acr build --registry "$REGISTRY" --image "$IMAGE" --file deploy/Dockerfile .
  run az containerapp env create --resource-group "$GROUP" --name "$ENVIRONMENT" --location "$LOCATION"
  # Pages live in the memory of one replica: more of them would need one queue between them. Workers scale within it.
  run az containerapp create --resource-group "$GROUP" --name "$APP" --environment "$ENVIRONMENT" \
    --image "$REGISTRY.azurecr.io/$IMAGE" --registry-server "$REGISTRY.azurecr.io" --registry-identity system \
    --ingress "$INGRESS" --target-port 7860 --cpu "$CPU" --memory "$MEMORY" --min-replicas 0 --max-replicas 1 \
    "--args=--workers=$WORKERS" # az takes words that begin with a dash only so
  address
}

address() {
  run az containerapp show --resource-group "$GROUP" --name "$APP" \
    --query properties.configuration.ingress.fqdn --output tsv
}

down() {
  run az group delete --name "$GROUP" --yes
}

"$what"
