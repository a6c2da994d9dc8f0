//! Raw inputs in every layout and channel order give the bits of the same values in the network's own.

mod common;

use common::{Builder, Dice};
use stf_bnn::artifact::{ChannelOrder, InputLayout};
use stf_bnn::{AlignedBytes, Config, Input, Model, Pass, Predictor};

const SHAPE: [u16; 3] = [4, 3, 3];

fn model(layout: InputLayout, channel_order: ChannelOrder) -> AlignedBytes {
    let mut b = Builder::new(5, SHAPE);
    b.input.layout = layout;
    b.input.channel_order = channel_order;
    b.conv(6);
    b.dense_output(3);
    b.finish(3)
}

fn outputs(file: &AlignedBytes, input: Input<'_>) -> Vec<f32> {
    let model = Model::from_bytes(file).unwrap();
    let config = Config::default();
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    predictor.trace(input, Pass::Mean, |_, _, _| {}).unwrap().to_vec()
}

#[test]
fn layouts_and_channel_orders_differ_in_nothing_but_the_order() {
    let mut dice = Dice(9);
    let [height, width, channels] = SHAPE.map(usize::from);
    let raw: Vec<u8> = (0..height * width * channels).map(|_| dice.int(0, 255) as u8).collect();
    let expected = outputs(&model(InputLayout::Nhwc, ChannelOrder::Same), Input::U8(&raw));
    for layout in [InputLayout::Nhwc, InputLayout::Nchw] {
        for order in [ChannelOrder::Same, ChannelOrder::Reversed] {
            let mut arranged = vec![0; raw.len()];
            for position in 0..height * width {
                for channel in 0..channels {
                    let c = if order == ChannelOrder::Same { channel } else { channels - 1 - channel };
                    let at = match layout {
                        InputLayout::Nhwc => position * channels + c,
                        InputLayout::Nchw => c * height * width + position,
                    };
                    arranged[at] = raw[position * channels + channel];
                }
            }
            let file = model(layout, order);
            assert_eq!(outputs(&file, Input::U8(&arranged)), expected, "{layout:?} {order:?}");
            let floats: Vec<f32> = arranged.iter().map(|&x| x.into()).collect();
            assert_eq!(outputs(&file, Input::F32(&floats)), expected, "{layout:?} {order:?}");
        }
    }
}
