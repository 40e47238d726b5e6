-- The health of an EstimateSync in Argo CD: the text of `resource.customizations.health.botzilla.io_EstimateSync` in the
-- ConfigMap argocd-cm. A sync that has ended is healthy, however it ended: docs/operating.md says why.
local health = {status = "Progressing", message = "Waiting for the operator"}
local status = obj.status
if status == nil or status.phase == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
health.message = status.phase .. ": " .. (status.message or "")
if status.phase == "Succeeded" or status.phase == "Failed" or status.phase == "Cancelled" then
  health.status = "Healthy"
  return health
end
if status.phase == "Queued" and obj.spec ~= nil and obj.spec.suspend then
  health.status = "Suspended"
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" then
    health.status = "Degraded"
  end
end
return health
