fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1]).unwrap();
    let scenario = trial::scenario::load(&text, &[]).unwrap_or_else(|p| {
        for p in p {
            eprintln!("{p:?}")
        }
        panic!()
    });
    let seed: u64 = args.get(2).map_or(1, |s| {
        s.strip_prefix("0x").map_or_else(|| s.parse().unwrap(), |h| u64::from_str_radix(h, 16).unwrap())
    });
    for engine in [trial::Engine::Direct, trial::Engine::default()] {
        let (golden, out) = trial::trace::Golden::new();
        let t = std::time::Instant::now();
        let run = trial::simulate(
            &scenario,
            seed,
            trial::Options { engine, readers: vec![Box::new(golden)], ..Default::default() },
        );
        let e = t.elapsed();
        if engine == trial::Engine::Direct {
            print!("{}", out.lock().unwrap());
            println!("{:#?}", run.violations);
            println!("{:#?}", run.events);
        }
        println!(
            "{:?} digest {} steps {} ended {} in {:?} acked {} delivered {} settled {:?}",
            engine,
            run.digest,
            run.steps,
            run.ended,
            e,
            run.acknowledged(),
            run.delivered,
            run.settled
        );
    }
}
