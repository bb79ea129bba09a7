package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// TestSweep runs against the engine at hand. Each part is an instance of its own.
func TestSweep(t *testing.T) {
	r := newRig(t)
	for name, part := range map[string]func(*testing.T, *yard){
		"steps with an image": testSweepSteps,
		"killed runner":       testSweepKilled,
		"near misses":         testSweepNearMisses,
		"containers gone":     testSweepContainersGone,
		"in use":              testSweepInUse,
		"name taken":          testSweepNameTaken,
		"ended on its own":    testSweepAutoRemove,
		"list by runner":      testJobContainers,
		"runner is no job":    testSweepSparesRunners,
		"no runner's name":    testSweepNoRunner,
		"context has ended":   testSweepCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tag := strings.ToLower(rand.Text()[:12])
			e, err := New(Config{Instance: tag})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Close() })
			part(t, &yard{rig: r, e: e, tag: tag})
		})
	}
}

func testSweepKilled(t *testing.T, y *yard) {
	job := y.leave(t, "7", y.labels("r1"))
	step, unstarted := relatedName(job, "STEP-0"), relatedName(job, "_cache 2")
	y.container(t, step, spec{labels: y.labels("r1"), volumes: []string{job, job + "-env"}, network: "container:" + job})
	withVolume := y.container(t, unstarted, spec{tag: "volume", network: job + "-build-network", aliases: []string{"_cache 2"}, stopped: true})
	found, err := y.e.client.ContainerInspect(t.Context(), withVolume)
	if err != nil || len(found.Mounts) != 1 {
		t.Fatalf("the service has no anonymous volume: %+v, %v", found.Mounts, err)
	}
	anonymous := found.Mounts[0].Name
	t.Cleanup(func() { _ = y.e.client.VolumeRemove(context.WithoutCancel(t.Context()), anonymous, true) })
	// A second job of the same runner, and jobs of other owners.
	second := y.leave(t, "8", y.labels("r1"))
	y.leave(t, "9", y.labels("r2"))
	y.leave(t, "10", map[string]string{LabelJobInstance: "another", LabelJobRunner: "r1"})
	y.leave(t, "77", nil)

	want := slices.Concat(left(job), left(second), []string{"container " + step, "container " + unstarted})
	if err := y.sweep(t, "r1", nil, want...); err != nil {
		t.Error(err)
	}
	if _, err := y.e.client.VolumeInspect(t.Context(), anonymous); err == nil {
		t.Error("the service's anonymous volume is left")
	}
	for range 2 {
		if err := y.sweep(t, "r1", []string{job, step, second}); err != nil {
			t.Error(err)
		}
	}
}

func testSweepNearMisses(t *testing.T, y *yard) {
	job, side := y.leave(t, "7", y.labels("r1")), "x-"+y.tag
	y.network(t, side)
	for _, name := range []string{job + "-network", job + "-build-network-2", "x" + job + "-build-network"} {
		y.network(t, name)
	}
	for _, name := range []string{job + "-data", job + "-env-2", "x" + job, relatedName(job, "db")} {
		y.volume(t, name)
	}
	for name, s := range map[string]spec{
		relatedPrefix(job) + strings.Repeat("0", 64): {aliases: []string{"db"}},    // another hash
		relatedName(job, "web"):                      {aliases: []string{"other"}}, // another alias
		relatedName(job, "bare"):                     {},                           // no alias
		relatedName(y.job("8"), "db"):                {aliases: []string{"db"}},    // another job's
		job + "-mine":                                {aliases: []string{"db"}},    // a hand-made name
		relatedName(job, "mark"):                     {aliases: []string{"mark"}, labels: map[string]string{LabelJobInstance: "another", LabelJobRunner: "r1"}},
		relatedName(job, "run"):                      {aliases: []string{"run"}, labels: y.labels("r2")},
	} {
		s.network = side
		y.container(t, name, s)
	}
	// It is ours by its label, but nothing else is by its name.
	odd := "odd-" + y.tag
	y.network(t, odd+"-build-network")
	y.volume(t, odd)
	y.volume(t, odd+"-env")
	y.container(t, odd, spec{labels: y.labels("r1"), volumes: []string{odd}})
	y.container(t, relatedName(odd, "db"), spec{network: odd + "-build-network", aliases: []string{"db"}})

	if err := y.sweep(t, "r1", []string{odd}, append(left(job), "container "+odd)...); err != nil {
		t.Error(err)
	}
}

func testSweepContainersGone(t *testing.T, y *yard) {
	job := y.job("7")
	y.volume(t, job)
	y.volume(t, job+"-env")
	y.network(t, job+"-build-network")
	y.volume(t, y.job("8"))
	y.network(t, y.job("8")+"-build-network")
	if err := y.sweep(t, "r1", nil); err != nil {
		t.Errorf("without names: %v", err)
	}
	want := []string{"network " + job + "-build-network", "volume " + job, "volume " + job + "-env"}
	if err := y.sweep(t, "r1", []string{job, job, "another"}, want...); err != nil {
		t.Error(err)
	}
}

// testSweepInUse: what somebody else uses stays and is named, and the rest goes.
func testSweepInUse(t *testing.T, y *yard) {
	running, stopped := y.leave(t, "7", y.labels("r1")), y.leave(t, "8", y.labels("r1"))
	guest, sleeper := "guest-"+y.tag, "sleeper-"+y.tag
	holder := y.container(t, guest, spec{network: running + "-build-network", volumes: []string{running + "-env"}})
	y.container(t, sleeper, spec{network: stopped + "-build-network", stopped: true})

	keep := []string{"network " + running + "-build-network", "volume " + running + "-env", "network " + stopped + "-build-network"}
	want := slices.DeleteFunc(slices.Concat(left(running), left(stopped)), func(s string) bool { return slices.Contains(keep, s) })
	err := y.sweep(t, "r1", nil, want...)
	for _, part := range []string{
		"sweep after runner r1: ",
		"remove network " + running + "-build-network: used by " + guest,
		"remove network " + stopped + "-build-network: used by " + sleeper,
		"remove volume " + running + "-env: ", holder,
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
	// The names are all that is left to go by.
	for _, name := range []string{guest, sleeper} {
		if err := y.e.client.ContainerRemove(t.Context(), name, container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.sweep(t, "r1", []string{running, stopped}, keep...); err != nil {
		t.Error(err)
	}
}

// testSweepNameTaken: a container that is not the runner's has the name of one
// that was.
func testSweepNameTaken(t *testing.T, y *yard) {
	hand, other := y.leave(t, "7", nil), y.leave(t, "8", y.labels("r2"))
	mine := y.leave(t, "9", y.labels("r1"))
	err := y.sweep(t, "r1", []string{hand, other, mine}, left(mine)...)
	for _, job := range []string{hand, other} {
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "remove what belongs to container "+job) {
			t.Errorf("%v, want ErrForeign of %s", err, job)
		}
	}
}

// testSweepAutoRemove: the engine itself removes the container at the same time.
func testSweepAutoRemove(t *testing.T, y *yard) {
	for range 5 {
		job := y.job("7")
		y.volume(t, job)
		id := y.container(t, job, spec{labels: y.labels("r1"), volumes: []string{job}, autoRemove: true})
		ready(t, y.e, id)
		if err := y.e.client.ContainerKill(t.Context(), id, "SIGTERM"); err != nil {
			t.Fatal(err)
		}
		if _, err := y.e.Sweep(t.Context(), "r1", []string{job}); err != nil {
			// For a moment the engine lists the container no more and still
			// counts it as a user of the volume.
			if _, err := y.e.Sweep(t.Context(), "r1", []string{job}); err != nil {
				t.Error(err)
			}
		}
		if rest := y.all(t); len(rest) > 0 {
			t.Fatalf("left: %v", rest)
		}
	}
}

func testJobContainers(t *testing.T, y *yard) {
	job := y.leave(t, "7", y.labels("a"))
	step := relatedName(job, "STEP-0")
	y.container(t, step, spec{labels: y.labels("a"), stopped: true})
	other := y.leave(t, "8", y.labels("b"))
	y.leave(t, "9", map[string]string{LabelJobInstance: "another", LabelJobRunner: "a"})
	y.leave(t, "10", map[string]string{LabelJobInstance: y.tag, LabelJobRunner: ""})
	y.leave(t, "11", nil)
	got, err := y.e.JobContainers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"a": {job, step}, "b": {other}}
	slices.Sort(want["a"])
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("JobContainers() = %v, want %v", got, want)
	}
}

// testSweepSparesRunners: a runner's own container may have a job's labels from
// an image that was committed in a job.
func testSweepSparesRunners(t *testing.T, y *yard) {
	labels := y.labels("r1")
	labels[LabelInstance], labels[LabelRunner], labels[LabelPool] = y.tag, "runner-"+y.tag, "p"
	y.container(t, "runner-"+y.tag, spec{labels: labels})
	if err := y.sweep(t, "r1", nil); err != nil {
		t.Error(err)
	}
}

func testSweepNoRunner(t *testing.T, y *yard) {
	job := y.leave(t, "7", y.labels(""))
	if err := y.sweep(t, "", []string{job}); err == nil || err.Error() != "sweep: no runner" {
		t.Errorf("Sweep() = %v", err)
	}
}

func testSweepCancelled(t *testing.T, y *yard) {
	y.leave(t, "7", y.labels("r1"))
	before := y.all(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	removed, err := y.e.Sweep(ctx, "r1", nil)
	if !errors.Is(err, context.DeadlineExceeded) || len(removed) > 0 || !maps.Equal(y.all(t), before) {
		t.Errorf("Sweep() = %v, %v", removed, err)
	}
}

// A step with an image of its own has no label, and shares the network of the
// job's container, with whose volumes it works.
func testSweepSteps(t *testing.T, y *yard) {
	job := y.leave(t, "41", y.labels("r1"))
	other := y.leave(t, "42", y.labels("r2"))
	step := relatedName(job, "STEP-1")
	y.container(t, step, spec{network: "container:" + job, volumes: []string{job}})
	// Lookalikes: another's step, a name that only begins alike, and no part of
	// the job's network.
	y.container(t, relatedName(other, "STEP-1"), spec{network: "container:" + other})
	y.container(t, relatedPrefix(job)+"mine", spec{network: "container:" + other})
	y.container(t, relatedName(job, "STEP-2"), spec{})
	if err := y.sweep(t, "r1", nil, append(left(job), "container "+step)...); err != nil {
		t.Error(err)
	}
}
