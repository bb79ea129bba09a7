package docker

import (
	"context"
	"errors"

	"scaler.io/scaler/internal/plan"
)

// operation is what a call to the engine is for, in one word. There are few, so
// that they can be counted.
type operation string

const (
	opConfigCreate     operation = "config_create"
	opConfigList       operation = "config_list"
	opConfigRemove     operation = "config_remove"
	opContainerCreate  operation = "container_create"
	opContainerInspect operation = "container_inspect"
	opContainerList    operation = "container_list"
	opContainerLogs    operation = "container_logs"
	opContainerRemove  operation = "container_remove"
	opContainerSignal  operation = "container_signal"
	opContainerStart   operation = "container_start"
	opContainerUsage   operation = "container_usage"
	opFilesLook        operation = "files_look"
	opFilesPut         operation = "files_put"
	opFilesRead        operation = "files_read"
	opImageImport      operation = "image_import"
	opImageInspect     operation = "image_inspect"
	opImageList        operation = "image_list"
	opImageOffered     operation = "image_offered" // asked of its registry
	opImagePull        operation = "image_pull"
	opImageRemove      operation = "image_remove"
	opInfo             operation = "info"
	opNetworkInspect   operation = "network_inspect"
	opNetworkList      operation = "network_list"
	opNetworkRemove    operation = "network_remove"
	opNodeList         operation = "node_list"
	opPing             operation = "ping"
	opSecretCreate     operation = "secret_create"
	opSecretList       operation = "secret_list"
	opSecretRemove     operation = "secret_remove"
	opServiceCreate    operation = "service_create"
	opServiceInspect   operation = "service_inspect"
	opServiceList      operation = "service_list"
	opServiceRemove    operation = "service_remove"
	opServiceUpdate    operation = "service_update"
	opTaskList         operation = "task_list"
	opVolumeRemove     operation = "volume_remove"
)

// outcome puts the error of a call into one word: ok, not_found, conflict (as
// for a container that has ended by itself), no_answer, given_up (by the caller,
// as at the end of the daemon), or refused.
func outcome(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, plan.ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrUnreachable):
		return "no_answer"
	case ctx.Err() != nil:
		return "given_up"
	case isConflict(err):
		return "conflict"
	}
	return "refused"
}
