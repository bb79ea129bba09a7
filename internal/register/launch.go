package register

import (
	"path"

	"scaler.io/scaler/internal/plan"
)

// Program is the runner that a container has.
type Program string

// The programs that are known.
const (
	ProgramGitea   Program = "gitea"
	ProgramForgejo Program = "forgejo"
)

// ConfigName is the runner's configuration file in its data directory.
const ConfigName = "config.yaml"

// ProgramOf is the program that runners of a server usually are.
func ProgramOf(p plan.Product) Program {
	if p == plan.ProductForgejo {
		return ProgramForgejo
	}
	return ProgramGitea
}

// Launch returns how the program is started in a container with the data
// directory, nil where the image does that by itself.
//
// Gitea's images have an entrypoint that finds .runner and CONFIG_FILE, and their
// program ends after one job if .runner says so (from 0.2.12 on). Forgejo's has
// none: its command says whether one job is all, and that only a certain attempt
// of a job will do (Forgejo runner 12.8 or later). A runner that is bound to an
// attempt does not wait for it: if it is gone, so is the runner.
func Launch(p Program, dataDir string, oneJob bool, handle string) *plan.Launch {
	if p != ProgramForgejo {
		return nil
	}
	command := []string{"forgejo-runner", "--config", path.Join(dataDir, ConfigName)}
	switch {
	case !oneJob:
		command = append(command, "daemon")
	case handle != "":
		command = append(command, "one-job", "--handle", handle)
	default:
		command = append(command, "one-job", "--wait")
	}
	return &plan.Launch{Command: command}
}
