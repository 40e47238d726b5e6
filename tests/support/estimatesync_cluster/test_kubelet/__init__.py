"""The test kubelet: one node of a real API server whose containers are local processes.

It is scheduler and kubelet in one, for tests and demonstrations. What it is not: tests/support/README.md.
Pure decisions: addresses, environment, mounts, scheduling, container_states, pod_status, log_lines, images,
unsupported. Around them: kubernetes_client, container_process, container_setup, container_runner, readiness,
pod_worker, scheduler, node, pod_watch, log_server, kubelet. Only main joins them.
"""
