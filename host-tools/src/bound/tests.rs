use super::*;

/// For q = 0: `kl(0 || p) = -ln(1 - p)`, hence the inverse is `1 - exp(-budget)`.
#[test]
fn the_inverse_is_exact_where_it_is_known() {
    for budget in [1e-4_f64, 0.01, 0.5, 3.0] {
        assert!((kl_inverse(0.0, budget) - (1.0 - (-budget).exp())).abs() < 1e-10);
    }
    for q in [0.01, 0.1, 0.4, 0.9] {
        for budget in [1e-3, 0.05, 0.7] {
            let p = kl_inverse(q, budget);
            assert!(p > q && (binary_kl(q, p) - budget).abs() < 1e-8, "{q} {budget}: {p}");
            assert!(p <= q + (0.5 * budget).sqrt() + 1e-12, "Pinsker");
        }
    }
    assert_eq!(kl_inverse(1.0, 0.1), 1.0);
    assert!((kl_inverse(0.3, 0.0) - 0.3).abs() < 1e-6, "flat at its least: the square root of the rounding");
}

/// By hand: KL 10, n 1000, delta .05: (10 + ln(2 * 31.6228 / .05)) / 1000 = .0171426.
#[test]
fn the_budget_is_that_of_maurer() {
    assert!((budget(10.0, 1000, 0.05) - 0.017_142_6).abs() < 1e-6);
    assert!((mcallester(0.1, 0.02) - 0.2).abs() < 1e-12 && mcallester(0.9, 2.0) == 1.0);
}

/// One draw is wrong on one example of two, another on both.
#[test]
fn the_stochastic_error_counts_draws() {
    let drawn = Logits { values: vec![1.0, 0.0, 0.0, 1.0, 0.0, 3.0, 0.0, 2.0], draws: 2, classes: 2 };
    assert_eq!(stochastic_error(&drawn, &[0, 0]), 0.75);
    assert_eq!(averaged_error(&drawn, &[0, 0]), 0.5);
}

/// The chain on real data: parts apart, a bound above the test error, and a vacuous one said to be so.
#[test]
fn bounds_hold_on_digits_and_vacuous_ones_are_called_so() {
    let settings = crate::compare::Settings {
        epochs: 12,
        bayes_epochs: 3,
        train_examples: usize::MAX,
        test_examples: usize::MAX,
        ..crate::compare::test_settings()
    };
    let seeded = Seeded::load(&settings, None, 1).unwrap();
    let wish = Wish {
        prior_share: 0.5,
        delta: 0.025,
        estimate_delta: 0.025,
        draws: 40,
        temperature: 1.0,
        prior_sigma: 0.1,
    };
    let found = bound(&settings, &seeded, wish).unwrap();
    assert!(!found.vacuous && found.seeger <= found.mcallester, "{found:?}");
    assert!(found.seeger > found.test_stochastic && found.empirical < found.empirical_upper, "{found:?}");
    assert_eq!(found.prior_examples + found.n, seeded.splits.train.len());
    let tiny = Wish { prior_share: 0.993, ..wish };
    assert!(bound(&settings, &seeded, tiny).unwrap().vacuous);
    assert!(bound(&settings, &seeded, Wish { delta: 0.0, ..wish }).is_err());
}
