//! Drives the lab without the `muster` binary: `cargo run -p muster-provision --example lab -- up|status|load|down|check`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use muster_provision::{Lab, LabOptions, ProvisionError, check, enter_if_child};

fn main() -> ExitCode {
    enter_if_child();
    let result = tokio::runtime::Runtime::new().map_err(|e| e.to_string());
    match result.and_then(|runtime| runtime.block_on(run()).map_err(|e| e.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), ProvisionError> {
    let mut args = std::env::args().skip(1);
    let act = args.next().unwrap_or_default();
    let mut options = LabOptions::default();
    let mut files = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--name" => options = LabOptions::named(args.next().unwrap_or_default()),
            "--nodes" => options.nodes = args.next().and_then(|n| n.parse().ok()).unwrap_or(0),
            "--audit" => options.audit = true,
            file => files.push(PathBuf::from(file)),
        }
    }
    match act.as_str() {
        "up" => {
            let up = Lab::up(&options, &|p| {
                eprintln!("{:6.2} s  {:9} {}", p.elapsed.as_secs_f64(), p.step, p.detail);
            })
            .await?;
            println!("{}", up.kubeconfig.display());
        }
        "status" => println!("{:#?}", Lab::status(&options.name).await?),
        "load" => println!("{}", Lab::load(&options.name, &files).await?.join("\n")),
        "down" => println!("{:?}", Lab::down(&options.name).await?),
        "check" => println!("{:#?}", check(&options).await),
        _ => eprintln!("usage: lab up|status|load FILE..|down|check [--name X] [--nodes N] [--audit]"),
    }
    Ok(())
}
