package docker

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// JobOptions returns the options, as of the docker command line, that mark the
// job containers of a runner as coming from it. They go into container.options
// of the runner's configuration. Instance ids and runner names need no quotes.
func JobOptions(instance, runner string) string {
	return fmt.Sprintf("--label %s=%s --label %s=%s", LabelJobInstance, instance, LabelJobRunner, runner)
}

// JobContainers returns the names of the job and step containers of our
// runners that exist, running or not, by runner.
func (e *Engine) JobContainers(ctx context.Context) (map[string][]string, error) {
	found, err := e.jobContainers(ctx, "")
	if err != nil {
		return nil, err
	}
	byRunner := make(map[string][]string)
	for _, c := range found {
		runner := c.Labels[LabelJobRunner]
		byRunner[runner] = append(byRunner[runner], summaryName(c))
	}
	for _, names := range byRunner {
		slices.Sort(names)
	}
	return byRunner, nil
}

// jobContainers returns the containers, whatever their state, that carry the
// labels of our runners' jobs: of one runner, or of all if it is empty.
func (e *Engine) jobContainers(ctx context.Context, runner string) ([]container.Summary, error) {
	label := LabelJobRunner
	if runner != "" {
		label += "=" + runner
	}
	byLabel := filters.NewArgs(filters.Arg("label", LabelJobInstance+"="+e.instance), filters.Arg("label", label))
	var found []container.Summary
	err := e.call(ctx, opContainerList, "list job containers", func(ctx context.Context) (err error) {
		found, err = e.client.ContainerList(ctx, container.ListOptions{All: true, Filters: byLabel})
		return err
	})
	return slices.DeleteFunc(found, func(c container.Summary) bool { return !e.carriesJob(c.Labels, runner) }), err
}

// carriesJob reports whether these are the labels of a job container of the
// runner, or of any runner of ours if it is empty. A runner's own container is
// none, even if its image was committed from a job container and has left it
// the labels.
func (e *Engine) carriesJob(labels map[string]string, runner string) bool {
	of := labels[LabelJobRunner]
	return labels[LabelJobInstance] == e.instance && of != "" && (runner == "" || of == runner) && !e.carriesOurs(labels)
}

// summaryName returns the container's own name, or its id if it has none. The
// engine also lists names that links give it, as "/other/alias".
func summaryName(c container.Summary) string {
	for _, n := range c.Names {
		if own := strings.TrimPrefix(n, "/"); !strings.Contains(own, "/") {
			return own
		}
	}
	return c.ID
}

// The names from here on are those that Gitea's runner (1.0.8) gives, and older
// Forgejo runners with a prefix of their own. Forgejo's runner 12 has other
// names for all of it: none of them matches, so that nothing is derived.

// jobName is the form of the names of job containers, and of step containers
// and services, whose names begin with the same words.
var jobName = regexp.MustCompile(`^(GITEA|FORGEJO)-ACTIONS-TASK-[0-9]+-[A-Za-z0-9-]*-[0-9a-f]{64}$`)

// nameStem is how much of a name stands before its hash.
const nameStem = 63

// relatedName returns the name that the runner gives to the container of a part
// of the job, such as a service by its alias.
func relatedName(job, part string) string {
	full := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, job+"-"+part)
	full = strings.ReplaceAll(full, "--", "-")
	stem := strings.Trim(full[:min(len(full), nameStem)], "-")
	return fmt.Sprintf("%s-%x", stem, sha256.Sum256([]byte(full)))
}

// relatedPrefix returns what all relatedNames of a job begin with: a job's name
// alone is longer than the stem.
func relatedPrefix(job string) string {
	sample := relatedName(job, "x")
	return sample[:len(sample)-2*sha256.Size]
}

// isNetworkOf reports whether the runner makes a network of this name for the
// job. Between the job container's name and the end is the workflow's name for
// the job.
func isNetworkOf(job, name string) bool {
	rest, after := strings.CutPrefix(name, job+"-")
	id, whole := strings.CutSuffix(rest, "-network")
	return after && whole && id != ""
}
