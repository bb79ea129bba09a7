package runner

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"scaler.io/scaler/internal/giteatest"
)

const (
	reportInterval = 5 * time.Second // between signs of life
	retryFirst     = 200 * time.Millisecond
	retryMax       = 5 * time.Second
	// reportTimeout bounds the last report of a job. It is within the ten
	// minutes after which the server gives a silent job up.
	reportTimeout = 5 * time.Minute
)

// errCancelled: the server said in answer to a report that the job was
// cancelled.
var errCancelled = errors.New("cancelled by the server")

// job is a task in hand.
type job struct {
	r       *runner
	id      int64
	started time.Time
	lines   int64 // acknowledged log lines
}

// work runs a task to its end and reports it.
func (r *runner) work(ctx context.Context, task *runnerv1.Task) {
	j := &job{r: r, id: task.Id, started: time.Now()}
	r.log.Info(fmt.Sprintf("task %d repo is %s %s %s", task.Id, repoOf(task), task.Context.GetFields()["gitea_default_actions_url"].GetStringValue(), r.reg.Address))
	// The job outlives ctx by the shutdown timeout.
	jobCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(r.opts.ShutdownTimeout):
			cancel(errors.New("shutdown timeout"))
		case <-jobCtx.Done():
		}
	})
	defer stop()

	result := j.run(jobCtx, task)
	if err := j.finish(context.WithoutCancel(ctx), result); err != nil {
		// An ephemeral runner that is unknown now may have been heard before
		// the answer was lost, or its job was cancelled. Either way the
		// server has nothing more to hear.
		r.log.Warn("job not reported", "job", j.id, "err", err)
		return
	}
	r.log.Info("job finished", "job", j.id, "result", result.String())
}

// run waits for as long as the job takes, with a sign of life now and then.
func (j *job) run(ctx context.Context, task *runnerv1.Task) runnerv1.Result {
	duration := taskDuration(task)
	j.writeLog(ctx, false, fmt.Sprintf("Runner %s takes a job of %s", j.r.reg.Name, repoOf(task)), "Working for "+duration.String())
	end := time.NewTimer(duration)
	defer end.Stop()
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	for {
		if err := j.report(ctx, runnerv1.Result_RESULT_UNSPECIFIED); errors.Is(err, errCancelled) || errors.Is(err, errUnregistered) {
			j.r.log.Info("job cancelled", "job", j.id, "err", err)
			return runnerv1.Result_RESULT_CANCELLED
		} else if err != nil {
			j.r.log.Warn("sign of life not sent", "job", j.id, "err", err)
		}
		select {
		case <-end.C:
			return runnerv1.Result_RESULT_SUCCESS
		case <-ctx.Done():
			j.r.log.Warn("job cancelled", "job", j.id, "err", context.Cause(ctx))
			return runnerv1.Result_RESULT_CANCELLED
		case <-ticker.C:
		}
	}
}

// repoOf reads of which repository a job is, "owner/name".
func repoOf(task *runnerv1.Task) string {
	return task.Context.GetFields()["repository"].GetStringValue()
}

// taskDuration reads how long the job takes: nothing at a server that does not
// say.
func taskDuration(task *runnerv1.Task) time.Duration {
	ms, err := strconv.ParseInt(task.Vars[giteatest.DurationVar], 10, 64)
	if err != nil || ms < 0 {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// finish sends the last lines and the result until the server has them.
func (j *job) finish(ctx context.Context, result runnerv1.Result) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	j.writeLog(ctx, true, "Done: "+result.String())
	for wait := retryFirst; ; wait = min(2*wait, retryMax) {
		err := j.report(ctx, result)
		if err == nil || errors.Is(err, errUnregistered) || errors.Is(err, errCancelled) {
			return err
		}
		j.r.log.Warn("result not sent, will retry", "job", j.id, "err", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("report result: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// report sends the state of the job once. An unspecified result says that it
// still runs; then errCancelled says that it should not.
func (j *job) report(ctx context.Context, result runnerv1.Result) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state := &runnerv1.TaskState{Id: j.id, Result: result, StartedAt: timestamppb.New(j.started)}
	step := &runnerv1.StepState{Id: 0, Result: result, StartedAt: state.StartedAt, LogLength: j.lines}
	if result != runnerv1.Result_RESULT_UNSPECIFIED {
		state.StoppedAt = timestamppb.Now()
		step.StoppedAt = state.StoppedAt
	}
	state.Steps = []*runnerv1.StepState{step}
	resp, err := j.r.rpc.UpdateTask(ctx, connect.NewRequest(&runnerv1.UpdateTaskRequest{State: state}))
	if err != nil {
		return fmt.Errorf("report task: %w", err)
	}
	if result == runnerv1.Result_RESULT_UNSPECIFIED && resp.Msg.State.GetResult() == runnerv1.Result_RESULT_CANCELLED {
		return errCancelled
	}
	return nil
}

// writeLog sends log lines. They are for people only: what cannot be sent is
// dropped.
func (j *job) writeLog(ctx context.Context, last bool, lines ...string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rows := make([]*runnerv1.LogRow, len(lines))
	for i, line := range lines {
		rows[i] = &runnerv1.LogRow{Time: timestamppb.Now(), Content: line}
	}
	resp, err := j.r.rpc.UpdateLog(ctx, connect.NewRequest(&runnerv1.UpdateLogRequest{
		TaskId: j.id, Index: j.lines, Rows: rows, NoMore: last,
	}))
	if err != nil {
		j.r.log.Debug("log not sent", "job", j.id, "err", err)
		return
	}
	j.lines = resp.Msg.AckIndex
}
