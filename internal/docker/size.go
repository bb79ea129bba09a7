package docker

import (
	"context"
	"errors"

	"scaler.io/scaler/internal/plan"
)

// Size returns how many CPUs and how much memory the machine has that the
// engine runs on, whatever is in use.
func (e *Engine) Size(ctx context.Context) (plan.Resources, error) {
	var size plan.Resources
	err := e.call(ctx, opInfo, "ask docker for the size of its host", func(ctx context.Context) error {
		info, err := e.client.Info(ctx)
		if err != nil {
			return err
		}
		size = plan.Resources{MilliCPU: 1000 * int64(info.NCPU), Memory: info.MemTotal}
		if size.MilliCPU <= 0 || size.Memory <= 0 {
			return errors.New("the engine does not say it")
		}
		return nil
	})
	if err != nil {
		return plan.Resources{}, err
	}
	return size, nil
}
