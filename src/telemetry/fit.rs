//! Fit of coefficients to samples: robust, and close to the start for few samples. Pure and total.
//!
//! The fit minimizes, over the logarithms θ of the factors on the shipped numbers:
//!
//! ```text
//! sum over samples of huber(ln(output) - ln(estimate(θ)), σ)  +  sum over coefficients of ((θ - start) / spread)² / 2
//! ```
//!
//! - Errors are relative, and their logarithms near normal: a factor of two counts alike above and below.
//! - Huber's loss (1964, with the usual constant 1.345): errors beyond 1.345 σ pull with a constant force, so no single
//!   sample decides.
//! - The second sum is a ridge towards `start` (a normal prior): few samples hardly move the coefficients, many do.
//! - σ is the scaled median of the errors, drawn towards [`USUAL_ERROR`] while samples are few.
//! - The output of a truncated attempt is a lower bound: a lower estimate is pulled up, a higher estimate is left
//!   alone.
//!
//! Solved by Gauss-Newton with reweighting; each step is halved until the loss falls.

use super::coefficients::{COUNT, Coefficients, SCALE};
use super::estimate::{parts, tokens};
use super::features::Features;

/// Huber's constant: 95 % as efficient as least squares for normal errors.
const HUBER: f64 = 1.345;
/// Usual error of an estimate, as a logarithm: a factor of about 1.5.
const USUAL_ERROR: f64 = 0.4;
/// Weight of [`USUAL_ERROR`], in samples.
const USUAL_WEIGHT: f64 = 8.0;
/// Lower bound of σ.
const LEAST_ERROR: f64 = 0.1;
const STEPS: usize = 25;
const HALVINGS: usize = 6;
/// The fit stops after a step in which no coefficient moves further than this.
const CLOSE: f64 = 1e-3;

/// Output of an attempt, with the features of the phase.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Features of the phase.
    pub features: Features,
    /// Output tokens.
    pub output: u64,
    /// The output was truncated: `output` is a lower bound.
    pub bound: bool,
}

/// Fits coefficients around `start`; `spread` limits the reasonable distance of each coefficient from there, 0 fixes
/// the coefficient.
pub(super) fn fit(
    observed: &[&Observation],
    start: &Coefficients,
    spread: &[f64; COUNT],
) -> Coefficients {
    let mut here = start.clone();
    for _ in 0..STEPS {
        let sigma = sigma(observed, &here);
        let Some(step) = step(observed, &here, start, spread, sigma) else { break };
        let value = objective(observed, &here, start, spread, sigma);
        let shorter = (0..HALVINGS).map(|halvings| {
            let share = 0.5f64.powi(halvings as i32);
            let mut logs = *here.logs();
            logs.iter_mut().zip(&step).for_each(|(log, step)| *log += share * step);
            Coefficients::new(logs)
        });
        let mut better =
            shorter.filter(|there| objective(observed, there, start, spread, sigma) < value);
        match better.next() {
            Some(there) => here = there,
            None => break,
        }
        if step.iter().all(|step| step.abs() < CLOSE) {
            break;
        }
    }
    here
}

/// Returns the error of the estimate as a logarithm, positive for an estimate that is too low. `None` means no error.
fn residual(observed: &Observation, coefficients: &Coefficients) -> Option<f64> {
    let output = observed.output.max(1) as f64;
    let residual = output.ln() - tokens(coefficients, &observed.features).max(1.0).ln();
    (!observed.bound || residual > 0.0).then_some(residual)
}

fn sigma(observed: &[&Observation], here: &Coefficients) -> f64 {
    let values = observed.iter().filter(|observed| !observed.bound);
    let mut off: Vec<f64> =
        values.filter_map(|observed| residual(observed, here)).map(f64::abs).collect();
    off.sort_by(f64::total_cmp);
    let count = off.len() as f64;
    // The median of the absolute errors, scaled to a standard deviation (normal errors).
    let seen = 1.4826 * off.get(off.len() / 2).copied().unwrap_or_default();
    let square =
        (USUAL_WEIGHT * USUAL_ERROR.powi(2) + count * seen.powi(2)) / (USUAL_WEIGHT + count);
    square.sqrt().max(LEAST_ERROR)
}

fn objective(
    observed: &[&Observation],
    here: &Coefficients,
    start: &Coefficients,
    spread: &[f64; COUNT],
    sigma: f64,
) -> f64 {
    let huber = |residual: f64| match residual.abs() / sigma {
        near if near <= HUBER => near * near / 2.0,
        far => HUBER * (far - HUBER / 2.0),
    };
    let loss: f64 = observed.iter().filter_map(|o| residual(o, here)).map(huber).sum();
    let logs = here.logs().iter().zip(start.logs()).zip(spread);
    let ridge: f64 = logs
        .filter(|(_, spread)| **spread > 0.0)
        .map(|((log, start), spread)| ((log - start) / spread).powi(2) / 2.0)
        .sum();
    loss + ridge
}

/// Returns the Gauss-Newton step; `None` when the matrix is not positive definite.
fn step(
    observed: &[&Observation],
    here: &Coefficients,
    start: &Coefficients,
    spread: &[f64; COUNT],
    sigma: f64,
) -> Option<[f64; COUNT]> {
    let (mut matrix, mut right) = ([[0.0; COUNT]; COUNT], [0.0; COUNT]);
    for at in 0..COUNT {
        // A fixed coefficient is held by a ridge too strong for any data.
        let certainty = if spread[at] > 0.0 { spread[at].powi(-2) } else { 1e12 };
        matrix[at][at] = certainty;
        right[at] = certainty * (start.logs()[at] - here.logs()[at]);
    }
    for observed in observed {
        let Some(residual) = residual(observed, here) else { continue };
        let weight = (HUBER * sigma / residual.abs()).min(1.0) / sigma.powi(2);
        let slope = slope(here, &observed.features);
        for row in (0..COUNT).filter(|row| slope[*row] != 0.0) {
            right[row] += weight * residual * slope[row];
            for column in 0..=row {
                matrix[row][column] += weight * slope[row] * slope[column];
            }
        }
    }
    let step = solve(matrix, right)?;
    let longest = step.iter().fold(1.0f64, |longest, step| longest.max(step.abs()));
    // At most a factor of e per step.
    Some(step.map(|step| step / longest))
}

/// Returns the derivative of the logarithm of the estimate with respect to the logarithm of each coefficient.
fn slope(here: &Coefficients, features: &Features) -> [f64; COUNT] {
    let mut slope = [0.0; COUNT];
    let parts = parts(here, features);
    let sum: f64 = parts.iter().map(|(tokens, _)| tokens).sum();
    for (tokens, (one, other)) in parts {
        slope[one] += tokens / sum;
        if let Some(other) = other {
            slope[other] += tokens / sum;
        }
    }
    slope[SCALE] = 1.0;
    let factors = [here.complexity(features.complexity).1, here.category(features.category).1];
    factors.into_iter().flatten().for_each(|at| slope[at] = 1.0);
    slope
}

/// Solves by Cholesky, on the lower half of a symmetric matrix.
fn solve(mut matrix: [[f64; COUNT]; COUNT], mut right: [f64; COUNT]) -> Option<[f64; COUNT]> {
    for row in 0..COUNT {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|k| matrix[row][k] * matrix[column][k]).sum();
            let left = matrix[row][column] - dot;
            matrix[row][column] = match row == column {
                true if left > 0.0 => left.sqrt(),
                true => return None,
                false => left / matrix[column][column],
            };
        }
        let dot: f64 = (0..row).map(|k| matrix[row][k] * right[k]).sum();
        right[row] = (right[row] - dot) / matrix[row][row];
    }
    for row in (0..COUNT).rev() {
        let dot: f64 = (row + 1..COUNT).map(|k| matrix[k][row] * right[k]).sum();
        right[row] = (right[row] - dot) / matrix[row][row];
    }
    right.iter().all(|value| value.is_finite()).then_some(right)
}
