#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scenario = trial::scenario::load(&std::fs::read_to_string(&args[1]).unwrap(), &[])
        .unwrap_or_else(|p| panic!("{p:?}"));
    for unjudged in [false, true] {
        let t = std::time::Instant::now();
        let run = trial::simulate(
            &scenario,
            1,
            trial::Options { engine: trial::Engine::Direct, unjudged, ..Default::default() },
        );
        let e = t.elapsed().as_secs_f64();
        println!(
            "unjudged {unjudged}: {} steps {:.2}s  {:.0} steps/s  {:.0} sim s/s",
            run.steps,
            e,
            run.steps as f64 / e,
            run.ended.0 as f64 / 1e9 / e
        );
    }
}
